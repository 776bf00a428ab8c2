import { ticketCases } from "../../../test/tickets.cases.ts";
import { memoryTicketStore } from "./index.ts";

ticketCases("memory tickets", memoryTicketStore);
