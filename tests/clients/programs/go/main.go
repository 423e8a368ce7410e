// A client by grpc-go and the code that protoc-gen-go-grpc makes of the contract. It speaks as
// exchange.py says.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // found by name, in details
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	keywright "keywright.dev/gen/go/keywright/v1"
)

type told struct {
	ID       int
	Path     string
	Requests []json.RawMessage
	Metadata [][2]string
	Deadline *float64
	Gzip     bool
	Open     bool
	Cancel   bool
}

type end struct {
	ID       int               `json:"id"`
	Code     uint32            `json:"code"`
	Message  string            `json:"message"`
	Details  []json.RawMessage `json:"details"`
	Headers  [][2]string       `json:"headers"`
	Trailers [][2]string       `json:"trailers"`
}

var (
	telling sync.Mutex
	clients map[string]any
)

func main() {
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	clients = map[string]any{
		"keywright.v1.AuthService":                 keywright.NewAuthServiceClient(conn),
		"keywright.v1.KeyService":                  keywright.NewKeyServiceClient(conn),
		"keywright.v1.UserService":                 keywright.NewUserServiceClient(conn),
		"grpc.health.v1.Health":                    health.NewHealthClient(conn),
		"grpc.reflection.v1alpha.ServerReflection": reflection.NewServerReflectionClient(conn),
	}
	cancels := map[int]context.CancelFunc{}
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var call told
		if err := json.Unmarshal(line, &call); err != nil {
			log.Fatal(err)
		}
		if call.Cancel {
			cancels[call.ID]()
			continue
		}
		ctx, cancel := begun(call)
		cancels[call.ID] = cancel
		go follow(ctx, conn, call)
	}
}

func begun(call told) (context.Context, context.CancelFunc) {
	ctx := context.Background()
	for _, each := range call.Metadata {
		value := each[1]
		if strings.HasSuffix(each[0], "-bin") {
			decoded, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				log.Fatal(err)
			}
			value = string(decoded)
		}
		ctx = metadata.AppendToOutgoingContext(ctx, each[0], value)
	}
	if call.Deadline == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(*call.Deadline*float64(time.Second)))
}

func follow(ctx context.Context, conn *grpc.ClientConn, call told) {
	var headers, trailers metadata.MD
	options := []grpc.CallOption{grpc.Header(&headers), grpc.Trailer(&trailers)}
	if call.Gzip {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	err := answered(ctx, conn, call, options)
	said := status.Convert(err)
	over := end{ID: call.ID, Code: uint32(said.Code()), Message: said.Message(), Details: []json.RawMessage{}}
	for _, each := range said.Proto().GetDetails() {
		over.Details = append(over.Details, asJSON(each))
	}
	over.Headers, over.Trailers = texts(headers), texts(trailers)
	tell(over)
}

// The method of the generated client of that name, whichever it is.
func answered(ctx context.Context, conn *grpc.ClientConn, call told, options []grpc.CallOption) error {
	service, name, _ := strings.Cut(strings.TrimPrefix(call.Path, "/"), "/")
	var method reflect.Value
	if client, ok := clients[service]; ok {
		method = reflect.ValueOf(client).MethodByName(name)
	}
	if !method.IsValid() { // as a client of another version of the contract would have it
		return conn.Invoke(ctx, call.Path, &emptypb.Empty{}, &emptypb.Empty{}, options...)
	}
	given := []reflect.Value{reflect.ValueOf(ctx)}
	if method.Type().NumIn() == 3 { // context, request, options; there is one only if it is one
		given = append(given, reflect.ValueOf(parsed(call.Requests[0], method.Type().In(1))))
	}
	for _, each := range options {
		given = append(given, reflect.ValueOf(each))
	}
	results := method.Call(given)
	if err, failed := results[1].Interface().(error); failed {
		return err
	}
	if stream, streams := results[0].Interface().(grpc.ClientStream); streams {
		return received(stream, results[0], call)
	}
	tellReply(call.ID, results[0].Interface().(proto.Message))
	return nil
}

func received(stream grpc.ClientStream, typed reflect.Value, call told) error {
	if send := typed.MethodByName("Send"); send.IsValid() {
		for _, each := range call.Requests {
			if err := stream.SendMsg(parsed(each, send.Type().In(0))); err != nil {
				break // why is told by what is received
			}
		}
		if !call.Open {
			if err := stream.CloseSend(); err != nil {
				return err
			}
		}
	}
	for {
		results := typed.MethodByName("Recv").Call(nil)
		if err, failed := results[1].Interface().(error); failed {
			if err == io.EOF {
				return nil
			}
			return err
		}
		tellReply(call.ID, results[0].Interface().(proto.Message))
	}
}

func parsed(request json.RawMessage, kind reflect.Type) proto.Message {
	message := reflect.New(kind.Elem()).Interface().(proto.Message)
	if err := protojson.Unmarshal(request, message); err != nil {
		log.Fatal(err)
	}
	return message
}

func asJSON(message proto.Message) json.RawMessage {
	text, err := protojson.Marshal(message)
	if err != nil {
		log.Fatal(err)
	}
	return text
}

func texts(of metadata.MD) [][2]string {
	found := [][2]string{}
	for key, values := range of {
		for _, value := range values {
			if strings.HasSuffix(key, "-bin") {
				value = base64.StdEncoding.EncodeToString([]byte(value))
			}
			found = append(found, [2]string{key, value})
		}
	}
	return found
}

func tellReply(id int, reply proto.Message) {
	tell(map[string]any{"id": id, "reply": asJSON(reply)})
}

func tell(what any) {
	line, err := json.Marshal(what)
	if err != nil {
		log.Fatal(err)
	}
	telling.Lock()
	defer telling.Unlock()
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		log.Fatal(err)
	}
}
