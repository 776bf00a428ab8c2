import { Stack, Validations } from "aws-cdk-lib";
import type { IConstruct } from "constructs";

/** Tells cdk-nag why a rule does not apply to a construct and its children. @param id such as `AwsSolutions-SQS3` */
export function acknowledge(construct: IConstruct, id: string, reason: string): void {
  Validations.of(construct).acknowledge({ id, reason });
}

/** Tells cdk-nag why a policy's resource must end in a wildcard. */
export function acknowledgeWildcard(construct: IConstruct, resource: string, reason: string): void {
  const text = toText(Stack.of(construct).resolve(resource));
  acknowledge(construct, `AwsSolutions-IAM5[Resource::${text}]`, reason);
}

/** Returns a resolved value as cdk-nag writes it in the ids of its findings: `arn:<AWS::Partition>:…`. */
function toText(resolved: unknown): string {
  if (typeof resolved === "string") return resolved;
  const [[name, value] = []] = Object.entries(resolved as object);
  switch (name) {
    case "Fn::Join":
      return (value as [string, unknown[]])[1].map(toText).join(value[0]);
    case "Fn::GetAtt":
      return `<${(value as string[]).join(".")}>`;
    default:
      return `<${value}>`;
  }
}
