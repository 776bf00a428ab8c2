import { createHash, createHmac, randomBytes } from "node:crypto";
import {
  type AccessRequest,
  isAllowed,
  type Policy,
  type ResolvedTemplate,
} from "../../lambda-emulator/index.ts";
import type { Stack, StackFunction } from "./stack.ts";

/** The answer to a call, with the service's words if it is denied. */
export type Decision = { readonly allowed: true } | { readonly allowed: false; readonly reason: string };

/** A function as the caller of a service. */
export interface Caller {
  readonly functionName: string;
  /** Identifies the function in signed requests. Letters and digits only: DynamoDB Local takes no others. */
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Its role session, as AWS names it in messages. */
  readonly arn: string;
  /** `undefined`: everything is allowed. */
  readonly policies: readonly Policy[] | undefined;
}

/** The callers of a stack: its functions, with the policies of their roles. */
export class Callers {
  /** Secrets are made of it, so that a function keeps its own when the stack is replaced. */
  readonly #key = randomBytes(32);
  readonly #byFunction = new Map<string, Caller>();
  readonly #byKey = new Map<string, Caller>();

  constructor(stack: Stack) {
    this.replace(stack);
  }

  /** Decides by the policies of a changed stack. */
  replace({ functions, template }: Stack): void {
    this.#byFunction.clear();
    this.#byKey.clear();
    for (const each of functions) this.#add(each, template.stack);
  }

  get all(): readonly Caller[] {
    return [...this.#byFunction.values()];
  }

  /**
   * Key pairs whose signatures are verified. A stack without functions has one that nobody knows, because API Gateway on this
   * machine takes any signature without key pairs.
   */
  get credentials(): readonly { readonly accessKeyId: string; readonly secretAccessKey: string }[] {
    const own = this.all.map(({ accessKeyId, secretAccessKey }) => ({ accessKeyId, secretAccessKey }));
    return own.length > 0 ? own : [{ accessKeyId: "nobody", secretAccessKey: this.#key.toString("hex") }];
  }

  /** Returns the caller of a function. */
  of(functionName: string): Caller {
    return this.#byFunction.get(functionName)!;
  }

  /** Decides whether the owner of an access key may make requests. */
  decide(accessKeyId: string, ...requests: readonly AccessRequest[]): Decision {
    const caller = this.#byKey.get(accessKeyId);
    if (caller === undefined) {
      return { allowed: false, reason: "The security token included in the request is invalid." };
    }
    if (caller.policies === undefined) return { allowed: true };
    for (const request of requests) {
      const decision = isAllowed(caller.policies, request);
      if (decision.allowed) continue;
      const { action, resource } = request;
      const reason = `User: ${caller.arn} is not authorized to perform: ${action} on resource: ${resource} ${decision.reason}`;
      return { allowed: false, reason };
    }
    return { allowed: true };
  }

  #add(
    { resource, roleName, policies }: StackFunction,
    { name, partition, accountId }: ResolvedTemplate["stack"],
  ): void {
    const { ref: functionName, logicalId } = resource;
    const id = createHash("sha256").update(`${name}/${logicalId}`).digest("hex").slice(0, 16).toUpperCase();
    const caller: Caller = {
      functionName,
      accessKeyId: `AKIA${id}`,
      secretAccessKey: createHmac("sha256", this.#key).update(id).digest("hex"),
      arn: `arn:${partition}:sts::${accountId}:assumed-role/${roleName}/${functionName}`,
      policies,
    };
    this.#byFunction.set(functionName, caller);
    this.#byKey.set(caller.accessKeyId, caller);
  }
}
