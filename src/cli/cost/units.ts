/** DynamoDB units of an operation. A read unit covers 4 KB, a write unit 1 KB. */
export interface MeasuredUnits {
  /** The operation's row in docs/operations/dynamodb-costs.md. */
  readonly row: string;
  readonly reads: number;
  readonly writes: number;
}

/**
 * The units of each operation, by section of docs/operations/dynamodb-costs.md. Tests measure them on DynamoDB Local
 * (test/dynamodb/*costs.test.ts), and another one compares the page with them.
 */
export const UNITS = {
  events: {
    connectAnonymous: units("connect, anonymous", 0, 1),
    connect: units("connect, with user and tenant", 0, 3),
    message: units("message, identity from the authorizer", 0, 0),
    messageOfRow: units("message, identity from the row", 1, 0),
    getState: units("`ctx.get` adds", 1, 0),
    setState: units("`ctx.set` adds, for up to a hundred keys", 0, 1),
    updateState: units("`ctx.update` adds", 1, 1),
    disconnectAnonymous: units("disconnect, anonymous", 1, 1),
    disconnect: units("disconnect, with user and tenant", 1, 3),
    connectCounted: units("connect, with user and tenant, `maxConnections`", 0, 8),
    disconnectCounted: units("disconnect, with user and tenant, `maxConnections`", 2, 8),
    rateLimit: units("a limit of connects adds, in DynamoDB", 0, 1),
    rateLimitNext: units("… for the next connect from that address", 0, 2),
    rateLimitKnown: units("… for one that the container knows to be over the limit", 0, 0),
    expiryOnConnect: units("a token's expiry adds on connect, with a `schedule`", 0, 2),
    expiryOnDisconnect: units("… on disconnect", 0, 2),
    expiryOnTick: units("… when the tick closes the connection", 2.5, 2),
    refresh: units("a refresh on the socket", 1, 4),
    createTicket: units("a ticket, created", 0, 1),
    redeemTicket: units("… and redeemed, on connect", 0, 1),
  },
  lists: {
    listByUser: units("`listByUser`", 505, 0),
    listByTenant: units("`listByTenant`", 505.5, 0),
    count: units("`count`", 22.5, 0),
  },
  channels: {
    append: units("a publication: `append`", 1, 4),
    appendWithKey: units("… with a key", 1, 6),
    appendKnownKey: units("… with a key that is known", 1, 6),
    appendLarge: units("… of 10 KB, with a key", 1, 24),
    markDelivered: units("… marked as fanned out: `markDelivered`", 0, 1),
    checkpoint: units("… progress saved: `checkpoint`", 0, 1),
    getPendingFanOut: units("… checked by the stream's function: `getPendingFanOut`", 1, 0),
    readHead: units("`readHead`", 1, 0),
    readNothing: units("`read`, nothing missed", 1, 0),
    readMissed: units("`read`, 50 messages of 100 bytes missed", 6, 0),
    addAnonymous: units("a subscription: `add`, anonymous", 1, 2),
    addUser: units("… of a user", 2, 3),
    addUserAgain: units("… of a user's second connection", 2, 3),
    setState: units("`setState`", 1, 1),
    listChannels: units("`listChannels`", 1, 0),
    listThreeMembers: units("`listMembers` of three members", 8, 0),
    listWatchers: units("… of a request's channel", 1, 0),
    listThousandMembers: units("`listMembers` of a thousand", 56, 0),
    countThousand: units("`count` of a thousand", 56, 0),
    listThousandUsers: units("`listPresence` of a thousand users", 40, 0),
    removeAnonymous: units("a leave: `remove`, anonymous", 2, 2),
    removeUser: units("… of a user's last connection", 3, 3),
    removeAgain: units("… repeated", 2, 0),
    addChunks: units("a message of 128 KB in four chunks: `add`, four times", 32, 132),
    abortChunks: units("… incomplete and dropped: `abort`", 0, 1),
  },
  requests: {
    create: units("a request: `create`", 0, 3),
    claim: units("… `claim`", 0, 1),
    finish: units("… `finish`, completed", 0, 2),
    claimCounted: units("… `claim`, with limits of running requests", 0, 3),
    createLarge: units("`create` with an input of 800 bytes", 0, 4),
    finishLarge: units("`finish` with a result of 800 bytes", 0, 3),
    finishForRetry: units("`finish`, to be retried", 0, 3),
    finishFailed: units("`finish`, failed", 0, 3),
    redrive: units("`redrive`", 1, 3),
    cancel: units("`cancel`", 1, 2),
    renew: units("`renew`, with progress or without", 0, 1),
    saveCheckpoint: units("`saveCheckpoint`, small", 0, 1),
    saveLargeCheckpoint: units("`saveCheckpoint` of 10 KB", 0, 11),
    appendFirst: units("`append`, the first of a request", 0, 2),
    append: units("`append`", 0, 1),
    claimWithOutput: units("`claim` of a request with output", 1, 2),
    readOutput: units("`readOutput` of 100 items of 45 bytes", 8, 0),
    get: units("`get`", 1, 0),
    readResult: units("`readResult`", 1, 0),
    list: units("`list` of one request", 1.5, 0),
    countOwner: units("`countOpen` of an owner with 20 requests", 0.5, 0),
    countTenant: units("`countOpen` of a tenant with 20 requests", 2, 0),
    countRunning: units("`countRunning` of a tenant with one running request", 2, 0),
  },
} as const;

function units(row: string, reads: number, writes: number): MeasuredUnits {
  return { row, reads, writes };
}
