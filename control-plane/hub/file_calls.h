// What the three calls of proto/event_hub.proto that move files or tokens do: FetchInput,
// StoreOutput, PullToken. Used by hub_service.cc alone, which makes them gRPC methods. What blocks
// runs on the pools: the blob store's work on the one for transfers.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/rpc/streams.h"
#include "control-plane/hub/hub_service.h"
#include "control-plane/hub/worker_tokens.h"
#include "proto/event_hub.pb.h"

namespace mimeo::control {

// On the HTTP thread. All that it is given outlives it.
class FileCalls {
 public:
  FileCalls(HubServiceParts& parts, const HubServiceOptions& options, WorkerTokens& tokens)
      : parts_(parts),
        options_(options),
        tokens_(tokens),
        ids_(std::make_unique<IdGenerator>(parts.clock, parts.random)) {}

  // Each checks the worker's `token` first: kUnauthenticated.

  // kNotFound, also for a URL that is not ours.
  boost::asio::awaitable<Status> fetch_input(std::string token, v1::FetchInputRequest request,
                                             rpc::ServerWriter<v1::Chunk>* out);
  // Nothing is stored unless all of it came.
  boost::asio::awaitable<Result<v1::StoredOutput>> store_output(std::string token,
                                                                rpc::ServerReader<v1::Chunk>* in);
  // kUnavailable when there is no registry.
  boost::asio::awaitable<Result<v1::PullTokenReply>> pull_token(std::string token,
                                                                v1::PullTokenRequest request);

 private:
  // What a FetchInput sends: a text that is in memory, or a blob.
  struct Source {
    std::string text;
    std::string blob_key;  // Empty = the text.
  };
  struct Upload;

  // These block.
  Result<Source> find_input(const v1::FetchInputRequest& request) const;
  Result<std::string> key_of(std::string_view url, PredictionId id) const;
  Result<std::string> key_of_file(std::string_view rest, PredictionId id) const;
  Result<std::string> key_of_output(std::string_view rest) const;
  Status take_piece(Upload& upload, const v1::Chunk& piece);
  static Status commit(Upload& upload);

  boost::asio::awaitable<Status> send_text(std::string text, rpc::ServerWriter<v1::Chunk>* out);
  boost::asio::awaitable<Status> send_blob(std::string key, rpc::ServerWriter<v1::Chunk>* out);

  HubServiceParts& parts_;
  const HubServiceOptions& options_;
  WorkerTokens& tokens_;
  const std::unique_ptr<IdGenerator> ids_;  // Of blobs.
};

}  // namespace mimeo::control
