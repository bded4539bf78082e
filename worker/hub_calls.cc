#include "worker/hub_calls.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "common/rpc/link.h"
#include "proto/event_hub.grpc.pb.h"

namespace mimeo::worker {
namespace {

constexpr char kTokenKey[] = "mimeo-worker-token";
constexpr std::chrono::seconds kShortCall{5};
// Of one file, also a large one over a slow line.
constexpr std::chrono::minutes kFileCall{30};
constexpr std::size_t kChunk = 256 * 1024;

void prepare(grpc::ClientContext& context, const std::string& token, std::chrono::seconds limit) {
  context.AddMetadata(kTokenKey, token);
  // A deadline on the wire is a duration; gRPC wants it as a time of its own clock.
  context.set_deadline(
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                   gpr_time_from_seconds(static_cast<std::int64_t>(limit.count()), GPR_TIMESPAN)));
}

// Another control plane may do better.
bool should_try_next(const Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

Status nobody() { return absl::UnavailableError("no control plane is known"); }

}  // namespace

struct HubCalls::Peer {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::EventHub::Stub> stub;
};

HubCalls::HubCalls(std::string token, rpc::TlsFiles tls)
    : token_(std::move(token)), tls_(std::move(tls)) {}

HubCalls::~HubCalls() = default;

std::shared_ptr<HubCalls::Peer> HubCalls::peer(const std::string& address) {
  std::lock_guard lock(mutex_);
  auto& entry = peers_[address];
  if (!entry) {
    entry = std::make_shared<Peer>();
    entry->channel = rpc::make_channel(address, tls_);
    entry->stub = v1::EventHub::NewStub(entry->channel);
  }
  return entry;
}

Status HubCalls::fetch_from(Peer& peer, const v1::FetchInputRequest& request,
                            const ContentSink& sink) {
  grpc::ClientContext context;
  prepare(context, token_, kFileCall);
  const auto reader = peer.stub->FetchInput(&context, request);
  v1::Chunk chunk;
  Status written;
  while (reader->Read(&chunk)) {
    written = sink(chunk.data());
    if (!written.ok()) {
      context.TryCancel();
      break;
    }
  }
  const grpc::Status finished = reader->Finish();
  return written.ok() ? rpc::from_grpc(finished) : written;
}

Status HubCalls::fetch_input(const std::vector<std::string>& addresses, PredictionId prediction,
                             const std::string& url, const std::function<Status()>& reset,
                             const ContentSink& sink) {
  v1::FetchInputRequest request;
  request.set_prediction_id(prediction.str());
  request.set_url(url);
  Status status = nobody();
  for (const auto& address : addresses) {
    MIMEO_RETURN_IF_ERROR(reset());
    status = fetch_from(*peer(address), request, sink);
    if (!should_try_next(status)) return status;
  }
  return status;
}

Result<std::string> HubCalls::store_at(Peer& peer, const OutputFile& file) {
  MIMEO_ASSIGN_OR_RETURN(const ContentSource source, file.open());
  grpc::ClientContext context;
  prepare(context, token_, kFileCall);
  v1::StoredOutput stored;
  const auto writer = peer.stub->StoreOutput(&context, &stored);
  v1::Chunk first;
  *first.mutable_head()->mutable_id() = file.attempt.proto();
  first.mutable_head()->set_filename(file.filename);
  first.mutable_head()->set_content_type(file.content_type);
  bool is_open = writer->Write(first);
  Status read;
  while (is_open) {
    auto piece = source();
    if (!piece.ok()) {
      read = piece.status();
      context.TryCancel();
      break;
    }
    if (piece->empty()) break;
    for (std::size_t at = 0; is_open && at < piece->size(); at += kChunk) {
      v1::Chunk chunk;
      chunk.set_data(piece->substr(at, kChunk));
      is_open = writer->Write(chunk);
    }
  }
  writer->WritesDone();
  const grpc::Status finished = writer->Finish();
  if (!read.ok()) return read;
  if (!finished.ok()) return rpc::from_grpc(finished);
  return stored.url();
}

Result<std::string> HubCalls::store_output(const std::vector<std::string>& addresses,
                                           const OutputFile& file) {
  Result<std::string> url = nobody();
  for (const auto& address : addresses) {
    url = store_at(*peer(address), file);
    if (!should_try_next(url.status())) return url;
  }
  return url;
}

Result<PullToken> HubCalls::pull_token(const std::vector<std::string>& addresses,
                                       const std::string& repository) {
  v1::PullTokenRequest request;
  request.set_repository(repository);
  Status status = nobody();
  for (const auto& address : addresses) {
    grpc::ClientContext context;
    prepare(context, token_, kShortCall);
    v1::PullTokenReply reply;
    status = rpc::from_grpc(peer(address)->stub->PullToken(&context, request, &reply));
    if (status.ok()) return PullToken{reply.registry(), reply.token()};
    if (!should_try_next(status)) return status;
  }
  return status;
}

}  // namespace mimeo::worker
