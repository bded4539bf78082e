// The three calls of proto/event_hub.proto that move files or tokens: FetchInput, StoreOutput,
// PullToken. Used by hub_service.cc alone. Each call lives by itself until gRPC is done with it;
// everything that blocks runs on the pool.

#pragma once

#include <grpcpp/grpcpp.h>

#include "control-plane/hub_service.h"
#include "control-plane/worker_tokens.h"
#include "proto/event_hub.grpc.pb.h"

namespace mimeo::control {

// What the calls share; outlives them.
struct FileCallContext {
  HubServiceParts& parts;
  const HubServiceOptions& options;
  WorkerTokens& tokens;
};

// Value of the metadata "mimeo-worker-token"; empty when absent.
[[nodiscard]] std::string worker_token_of(const grpc::CallbackServerContext& context);

[[nodiscard]] grpc::ServerWriteReactor<v1::Chunk>* fetch_input(
    const FileCallContext& shared, const grpc::CallbackServerContext& context,
    const v1::FetchInputRequest& request);
[[nodiscard]] grpc::ServerReadReactor<v1::Chunk>* store_output(
    const FileCallContext& shared, const grpc::CallbackServerContext& context,
    v1::StoredOutput* reply);
[[nodiscard]] grpc::ServerUnaryReactor* pull_token(const FileCallContext& shared,
                                                   grpc::CallbackServerContext& context,
                                                   const v1::PullTokenRequest& request,
                                                   v1::PullTokenReply* reply);

}  // namespace mimeo::control
