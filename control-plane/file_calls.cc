#include "control-plane/file_calls.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/http/message.h"
#include "common/rpc/link.h"
#include "common/telemetry/log.h"
#include "control-plane/public_links.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kChunkBytes = 256 << 10;
constexpr std::size_t kMaxFilename = 200;

// What a FetchInput sends: a text that is in memory, or a blob.
struct Source {
  std::string text;
  std::unique_ptr<blobs::BlobReader> blob;
};

// "<key>" of one of our own URLs, in the blob store. kNotFound, kPermissionDenied.
class InputFinder {
 public:
  explicit InputFinder(const FileCallContext& shared) : shared_(shared) {}

  Result<Source> find(const v1::FetchInputRequest& request) const {
    Source source;
    MIMEO_ASSIGN_OR_RETURN(const PredictionId id, Uuid::parse(request.prediction_id()));
    if (request.url().empty()) {
      MIMEO_ASSIGN_OR_RETURN(source.text, shared_.parts.predictions.get_input(id));
      return source;
    }
    MIMEO_ASSIGN_OR_RETURN(const std::string key, key_of(request.url(), id));
    MIMEO_ASSIGN_OR_RETURN(source.blob, shared_.parts.blobs.open(key));
    return source;
  }

 private:
  // Our own URLs only: a worker fetches everything else by itself.
  Result<std::string> key_of(std::string_view url, PredictionId id) const {
    const std::string& base = shared_.options.external_url;
    if (!url.starts_with(base)) return absl::PermissionDeniedError("not a file of this service");
    std::string_view path = url.substr(base.size());
    path = path.substr(0, path.find_first_of("?#"));
    constexpr std::string_view kFiles = "/v1/files/";
    constexpr std::string_view kDelivery = "/delivery/";
    if (path.starts_with(kFiles)) return key_of_file(path.substr(kFiles.size()), id);
    if (path.starts_with(kDelivery)) return key_of_output(path.substr(kDelivery.size()));
    return absl::PermissionDeniedError("not a file of this service");
  }

  // "<id>" or "<id>/download".
  Result<std::string> key_of_file(std::string_view rest, PredictionId id) const {
    const Result<Uuid> file_id = Uuid::parse(rest.substr(0, rest.find('/')));
    if (!file_id.ok()) return absl::NotFoundError("no such file");
    MIMEO_ASSIGN_OR_RETURN(const store::PredictionView prediction,
                           shared_.parts.predictions.get(id, 0));
    MIMEO_ASSIGN_OR_RETURN(
        const store::File file,
        shared_.parts.files.get_file(*file_id, prediction.account, shared_.parts.clock.now()));
    return file.blob_key();
  }

  // "<token>/<filename>": whoever has the link may read it.
  static Result<std::string> key_of_output(std::string_view rest) {
    const std::size_t slash = rest.find('/');
    if (slash == std::string_view::npos) return absl::NotFoundError("no such file");
    const std::optional<std::string> name = http::percent_decode(rest.substr(slash + 1));
    if (!name) return absl::NotFoundError("no such file");
    const std::optional<std::string> key = delivery_blob_key(rest.substr(0, slash), *name);
    if (!key) return absl::NotFoundError("no such file");
    return *key;
  }

  const FileCallContext& shared_;
};

// Sends one source, chunk after chunk. Lives until OnDone.
class FetchCall final : public grpc::ServerWriteReactor<v1::Chunk> {
 public:
  FetchCall(FileCallContext shared, std::string token, v1::FetchInputRequest request)
      : shared_(shared), token_(std::move(token)), request_(std::move(request)) {
    shared_.parts.pool.post([this] { begin(); });
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the worker is gone"));
      return;
    }
    shared_.parts.pool.post([this] { send_next(); });
  }
  void OnDone() override { delete this; }

 private:
  void begin() {
    if (const Status status = shared_.tokens.check(token_); !status.ok()) {
      Finish(rpc::to_grpc(status));
      return;
    }
    Result<Source> source = InputFinder(shared_).find(request_);
    if (!source.ok()) {
      Finish(rpc::to_grpc(source.status()));
      return;
    }
    source_ = std::move(*source);
    send_next();
  }

  void send_next() {
    std::string& data = *chunk_.mutable_data();
    if (source_.blob) {
      data.resize(kChunkBytes);
      const Result<std::size_t> got = source_.blob->read(offset_, data);
      if (!got.ok()) {
        Finish(rpc::to_grpc(got.status()));
        return;
      }
      data.resize(*got);
    } else {
      data = source_.text.substr(std::min(offset_, source_.text.size()), kChunkBytes);
    }
    if (data.empty()) {
      Finish(grpc::Status::OK);
      return;
    }
    offset_ += data.size();
    StartWrite(&chunk_);
  }

  const FileCallContext shared_;
  const std::string token_;
  const v1::FetchInputRequest request_;
  Source source_;
  std::size_t offset_ = 0;
  v1::Chunk chunk_;  // Owned by gRPC while a write is under way.
};

// Only what can be the last segment of a path.
std::string safe_filename(const std::string& given) {
  std::string name = given.substr(given.find_last_of('/') + 1);
  std::erase_if(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (name.size() > kMaxFilename) name.erase(0, name.size() - kMaxFilename);  // Keeps the suffix.
  if (name.empty() || name == "." || name == "..") name = "output";
  return name;
}

// Receives one file. Lives until OnDone.
class StoreCall final : public grpc::ServerReadReactor<v1::Chunk> {
 public:
  StoreCall(FileCallContext shared, std::string token, v1::StoredOutput* reply)
      : shared_(shared), token_(std::move(token)), reply_(reply) {
    StartRead(&chunk_);
  }

  void OnReadDone(bool ok) override {
    shared_.parts.pool.post([this, ok] { next(ok); });
  }
  void OnDone() override { delete this; }

 private:
  void next(bool has_chunk) {
    const Status status = has_chunk ? take_chunk() : commit();
    if (!status.ok()) log::debug("storing an output file: {}", status.ToString());
    if (!status.ok() || !has_chunk) {
      Finish(rpc::to_grpc(status));
      return;
    }
    chunk_.Clear();
    StartRead(&chunk_);
  }

  Status take_chunk() {
    if (!writer_) MIMEO_RETURN_IF_ERROR(open());
    return writer_->write(chunk_.data());
  }

  Status open() {
    MIMEO_RETURN_IF_ERROR(shared_.tokens.check(token_));
    if (!chunk_.has_head()) return absl::InvalidArgumentError("the first chunk lacks its head");
    MIMEO_ASSIGN_OR_RETURN(const PredictionId id, Uuid::parse(chunk_.head().id().prediction_id()));
    const std::string name = safe_filename(chunk_.head().filename());
    const std::string link = make_delivery_token(id, shared_.parts.random);
    const std::optional<std::string> key = delivery_blob_key(link, name);
    if (!key) return absl::InternalError("a delivery token that is not one");
    MIMEO_ASSIGN_OR_RETURN(writer_, shared_.parts.blobs.create(*key));
    reply_->set_url(delivery_url(shared_.options.external_url, link, name));
    return absl::OkStatus();
  }

  Status commit() {
    if (!writer_) return absl::InvalidArgumentError("no chunk came");
    MIMEO_ASSIGN_OR_RETURN(const blobs::BlobInfo info, writer_->commit());
    reply_->set_size_bytes(info.size_bytes);
    return absl::OkStatus();
  }

  const FileCallContext shared_;
  const std::string token_;
  v1::StoredOutput* const reply_;  // Owned by gRPC until OnDone.
  v1::Chunk chunk_;
  std::unique_ptr<blobs::BlobWriter> writer_;
};

}  // namespace

std::string worker_token_of(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto it = metadata.find("mimeo-worker-token");
  return it == metadata.end() ? std::string() : std::string(it->second.data(), it->second.size());
}

grpc::ServerWriteReactor<v1::Chunk>* fetch_input(const FileCallContext& shared,
                                                 const grpc::CallbackServerContext& context,
                                                 const v1::FetchInputRequest& request) {
  return new FetchCall(shared, worker_token_of(context), request);
}

grpc::ServerReadReactor<v1::Chunk>* store_output(const FileCallContext& shared,
                                                 const grpc::CallbackServerContext& context,
                                                 v1::StoredOutput* reply) {
  return new StoreCall(shared, worker_token_of(context), reply);
}

grpc::ServerUnaryReactor* pull_token(const FileCallContext& shared,
                                     grpc::CallbackServerContext& context,
                                     const v1::PullTokenRequest& request,
                                     v1::PullTokenReply* reply) {
  grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
  shared.parts.pool.post([shared, token = worker_token_of(context),
                          repository = request.repository(), reply, reactor] {
    Status status = shared.tokens.check(token);
    if (status.ok() && !shared.parts.pull_token) {
      status = absl::UnavailableError("there is no registry");
    }
    if (status.ok()) {
      const Result<PullGrant> grant = shared.parts.pull_token(repository);
      status = grant.status();
      if (grant.ok()) {
        reply->set_registry(grant->registry);
        reply->set_token(grant->token);
        reply->set_expires_in_s(static_cast<std::uint32_t>(grant->lifetime.count()));
      }
    }
    reactor->Finish(rpc::to_grpc(status));
  });
  return reactor;
}

}  // namespace mimeo::control
