import { describe, it } from "vitest";
import { TRANSPORTS } from "../../../../test/dynamodb/connection-table.ts";
import { RequestTableUnderTest } from "../../../../test/dynamodb/request-table.ts";
import { requestStoreCases } from "../../contracts/cases.ts";

for (const transport of TRANSPORTS) {
  requestStoreCases({ describe, it }, `DynamoDB requests by ${transport}`, async () => {
    const { store, now, advance } = await RequestTableUnderTest.create(transport);
    return { store: store(), now, advance };
  });
}
