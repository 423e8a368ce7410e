// A client by grpc-js and the TypeScript that ts-proto makes of the contract. It speaks as
// exchange.py says.

import { createInterface } from "node:readline";
import * as grpc from "@grpc/grpc-js";
import { ErrorInfo, RequestInfo, BadRequest, ResourceInfo, RetryInfo } from "./gen/google/rpc/error_details";
import { Status } from "./gen/google/rpc/status";
import { HealthClient, HealthService, HealthCheckRequest, HealthCheckResponse } from "./gen/grpc_health/v1/health";
import {
  ServerReflectionClient,
  ServerReflectionService,
  ServerReflectionRequest,
  ServerReflectionResponse,
} from "./gen/grpc_reflection/v1alpha/reflection";
import * as auth from "./gen/keywright/v1/auth_service";
import { Denial } from "./gen/keywright/v1/denial";
import * as key from "./gen/keywright/v1/key_service";
import * as user from "./gen/keywright/v1/user_service";

interface Told {
  id: number;
  path: string;
  requests: unknown[];
  metadata: [string, string][];
  deadline: number | null;
  gzip: boolean;
  open: boolean;
  cancel?: boolean;
}

interface Codec {
  fromJSON(object: unknown): unknown;
  toJSON(message: any): unknown;
}

interface Decoder extends Codec {
  decode(input: Uint8Array): unknown;
}

type Call = grpc.ClientUnaryCall | grpc.ClientReadableStream<unknown> | grpc.ClientDuplexStream<unknown, unknown>;
type Texts = [string, string][];

const GZIP = grpc.compressionAlgorithms.gzip;

const target = process.argv[2];

// The clients of a program, over one connection.
function clientsOver(options: grpc.ChannelOptions): Record<string, [grpc.Client, grpc.ServiceDefinition]> {
  const plain = grpc.credentials.createInsecure();
  const over = { channelOverride: new grpc.Channel(target, plain, options) };
  return {
    "keywright.v1.AuthService": [new auth.AuthServiceClient(target, plain, over), auth.AuthServiceService],
    "keywright.v1.KeyService": [new key.KeyServiceClient(target, plain, over), key.KeyServiceService],
    "keywright.v1.UserService": [new user.UserServiceClient(target, plain, over), user.UserServiceService],
    "grpc.health.v1.Health": [new HealthClient(target, plain, over), HealthService],
    "grpc.reflection.v1alpha.ServerReflection": [
      new ServerReflectionClient(target, plain, over),
      ServerReflectionService,
    ],
  };
}

const clients = clientsOver({});
const codecs: Record<string, [Codec, Codec]> = {
  "/keywright.v1.AuthService/Authenticate": [auth.AuthenticateRequest, auth.AuthenticateResponse],
  "/keywright.v1.AuthService/BatchAuthenticate": [auth.BatchAuthenticateRequest, auth.BatchAuthenticateResponse],
  "/keywright.v1.AuthService/AuthenticateStream": [auth.AuthenticateStreamRequest, auth.AuthenticateStreamResponse],
  "/keywright.v1.AuthService/Watch": [auth.WatchRequest, auth.WatchResponse],
  "/keywright.v1.KeyService/ListKeys": [key.ListKeysRequest, key.ListKeysResponse],
  "/keywright.v1.UserService/GetUser": [user.GetUserRequest, user.GetUserResponse],
  "/grpc.health.v1.Health/Check": [HealthCheckRequest, HealthCheckResponse],
  "/grpc.health.v1.Health/Watch": [HealthCheckRequest, HealthCheckResponse],
  "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": [ServerReflectionRequest, ServerReflectionResponse],
};
const details: Record<string, Decoder> = {
  "type.googleapis.com/google.rpc.ErrorInfo": ErrorInfo,
  "type.googleapis.com/google.rpc.RequestInfo": RequestInfo,
  "type.googleapis.com/google.rpc.BadRequest": BadRequest,
  "type.googleapis.com/google.rpc.ResourceInfo": ResourceInfo,
  "type.googleapis.com/google.rpc.RetryInfo": RetryInfo,
  "type.googleapis.com/keywright.v1.Denial": Denial,
};

function begun(told: Told): Call {
  const [, service, name] = /^\/(.*)\/(.*)$/.exec(told.path)!;
  const metadata = new grpc.Metadata();
  for (const [key, text] of told.metadata) {
    metadata.add(key, key.endsWith("-bin") ? Buffer.from(text, "base64") : text);
  }
  const how = told.deadline === null ? {} : { deadline: Date.now() + told.deadline * 1000 };
  // Compression is an option of a channel, which leaves it be once a server has refused it.
  const mine = told.gzip ? clientsOver({ "grpc.default_compression_algorithm": GZIP }) : clients;
  const method = name[0].toLowerCase() + name.slice(1);
  const [client, definition] = mine[service] ?? [mine["keywright.v1.AuthService"][0], {}];
  if (definition[method]?.path !== told.path) {
    // As a client of another version of the contract would have it.
    const nothing = () => Buffer.alloc(0);
    const answered = (error: grpc.ServiceError | null) => error ?? tell({ id: told.id, reply: {} });
    return followed(told.id, client.makeUnaryRequest(told.path, nothing, nothing, {}, metadata, how, answered));
  }
  const [requestType, replyType] = codecs[told.path];
  const requests = told.requests.map((each) => requestType.fromJSON(each));
  const tellReply = (reply: unknown) => tell({ id: told.id, reply: replyType.toJSON(reply) });
  const call = (client as any)[method].bind(client);
  const { requestStream, responseStream } = definition[method];
  if (!responseStream) {
    const answered = (error: grpc.ServiceError | null, reply: unknown) => error ?? tellReply(reply);
    return followed(told.id, call(requests[0], metadata, how, answered));
  }
  const stream = requestStream ? call(metadata, how) : call(requests[0], metadata, how);
  stream.on("data", tellReply);
  stream.on("error", () => {}); // it is told as the status
  if (requestStream) {
    requests.forEach((each) => stream.write(each));
    if (!told.open) {
      stream.end();
    }
  }
  return followed(told.id, stream, new Promise<void>((resolve) => stream.on("end", resolve)));
}

// Tells how a call ends, once all its replies were told.
function followed(id: number, call: Call, allRead?: Promise<void>): Call {
  let headers: Texts = [];
  call.on("metadata", (metadata: grpc.Metadata) => {
    headers = texts(metadata);
  });
  call.on("status", async (status: grpc.StatusObject) => {
    await allRead;
    const [packed] = status.metadata.get("grpc-status-details-bin");
    const said = packed ? Status.decode(packed as Buffer).details : [];
    tell({
      id,
      code: status.code,
      message: status.details,
      details: said.map(({ typeUrl, value }) => ({
        "@type": typeUrl,
        ...(details[typeUrl].toJSON(details[typeUrl].decode(value)) as object),
      })),
      headers,
      trailers: texts(status.metadata),
    });
  });
  return call;
}

function texts(metadata: grpc.Metadata): Texts {
  return Object.keys(metadata.getMap()).flatMap((key) =>
    metadata.get(key).map((value): [string, string] => [key, value.toString(key.endsWith("-bin") ? "base64" : "utf8")]),
  );
}

function tell(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

const calls = new Map<number, Call>();
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const told = JSON.parse(line) as Told;
  if (told.cancel) {
    calls.get(told.id)!.cancel();
  } else {
    calls.set(told.id, begun(told));
  }
});
lines.on("close", () => process.exit());
