export { type TicketCors, type TicketHandler, type TicketHandlerOptions, ticketHandler } from "./tickets.ts";
