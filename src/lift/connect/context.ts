import type { WebSocketContext } from "../connections/websocket.ts";
import { type AnyState, Context } from "../context.ts";
import { LiftError } from "../errors.ts";
import { ConnectionState } from "../event-state.ts";

/** The context of a `connectHandler`: there is no message and no row, and it sends nothing. */
export class ConnectContext<State extends object = AnyState> extends Context<State> {
  override body(): undefined {}

  override bind(): Promise<never> {
    return Promise.reject(new LiftError("VALIDATION_ERROR", { message: "$connect has no message" }));
  }

  override asWebSocket(): WebSocketContext {
    return this.openConnections();
  }

  protected override openConnections(): never {
    throw new LiftError("NOT_CONNECTED", {
      message: "`connectHandler` cannot send; use the `webSocketHandler` of an app",
    });
  }

  protected override openState(): ConnectionState {
    return new ConnectionState();
  }
}
