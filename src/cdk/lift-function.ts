import { Duration, RemovalPolicy } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import * as lambda from "aws-cdk-lib/aws-lambda";
import * as logs from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { type BundlingOptions, bundledCode, RUNTIME } from "./bundled-code.ts";

/** Settings of a function. All are optional. */
export interface FunctionSettings {
  /** Environment variables. */
  readonly environment?: { readonly [name: string]: string };
  /** In MB. Default 512: with less, Lambda gives it less of a CPU, and cold starts take longer. */
  readonly memorySize?: number;
  /** Default 29 s: API Gateway waits no longer. */
  readonly timeout?: Duration;
  /** Default: the account's. */
  readonly reservedConcurrentExecutions?: number;
  /** Processes that Lambda keeps ready, so that no event waits for a cold start. They cost money also without events. Default none. */
  readonly provisionedConcurrentExecutions?: number;
  /** Default one month. */
  readonly logRetention?: logs.RetentionDays;
  /** Default `RETAIN`: the log is kept when the stack is deleted. */
  readonly removalPolicy?: RemovalPolicy;
  /** Changes how esbuild bundles the code. */
  readonly bundling?: BundlingOptions;
}

/** Settings of a {@link LiftFunction}. `code` is required. */
export interface LiftFunctionProps extends FunctionSettings {
  /** TypeScript or JavaScript that exports `handler`. Its imports are resolved from `directory`. */
  readonly code: string;
  /** Default: the working directory. */
  readonly directory?: string;
}

/**
 * A Lambda function on Node 24 and arm64. Its code is bundled by esbuild, which must be installed. Its role may write the
 * function's own log, and nothing else until it is granted.
 * @example
 * new LiftFunction(this, "Tick", { code: 'export { handler } from "./src/tick.ts";' });
 */
export class LiftFunction extends Construct implements iam.IGrantable {
  /** The function itself. */
  readonly function: lambda.Function;
  /** The target of events: the function, or its alias with provisioned processes. */
  readonly target: lambda.IFunction;
  /** Its own role. */
  readonly role: iam.Role;
  readonly grantPrincipal: iam.IPrincipal;

  constructor(scope: Construct, id: string, props: LiftFunctionProps) {
    super(scope, id);
    const { removalPolicy = RemovalPolicy.RETAIN, logRetention = logs.RetentionDays.ONE_MONTH } = props;
    const logGroup = new logs.LogGroup(this, "Log", { retention: logRetention, removalPolicy });
    // A role of its own: CDK's default one has a managed policy that may write every log of the account.
    this.role = new iam.Role(this, "Role", {
      assumedBy: new iam.ServicePrincipal("lambda.amazonaws.com"),
      inlinePolicies: {
        Log: new iam.PolicyDocument({
          statements: [
            new iam.PolicyStatement({
              actions: ["logs:CreateLogStream", "logs:PutLogEvents"],
              resources: [logGroup.logGroupArn],
            }),
          ],
        }),
      },
    });
    this.grantPrincipal = this.role;
    this.function = new lambda.Function(this, "Function", {
      runtime: RUNTIME,
      architecture: lambda.Architecture.ARM_64,
      handler: "index.handler",
      code: bundledCode(props.code, props.directory, props.bundling),
      role: this.role,
      logGroup,
      memorySize: props.memorySize ?? 512,
      timeout: props.timeout ?? Duration.seconds(29),
      environment: props.environment ?? {},
      ...(props.reservedConcurrentExecutions !== undefined && {
        reservedConcurrentExecutions: props.reservedConcurrentExecutions,
      }),
    });
    const provisioned = props.provisionedConcurrentExecutions;
    // The casts: CDK's classes do not fit its interfaces under `exactOptionalPropertyTypes`.
    this.target =
      provisioned === undefined
        ? this.function
        : (new lambda.Alias(this, "Live", {
            aliasName: "live",
            version: this.function.currentVersion as lambda.IVersion,
            provisionedConcurrentExecutions: provisioned,
          }) as lambda.IFunction);
  }

  /** Allows actions on resources. */
  allow(actions: readonly string[], ...resources: readonly string[]): void {
    this.role.addToPolicy(new iam.PolicyStatement({ actions: [...actions], resources: [...resources] }));
  }
}
