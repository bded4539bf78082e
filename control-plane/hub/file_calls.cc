#include "control-plane/hub/file_calls.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/base/file_names.h"
#include "common/blobs/blob_key.h"
#include "common/http/message.h"
#include "control-plane/public_links.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kChunkBytes = 256 << 10;

}  // namespace

// A file that is being received. Dies on a thread for transfers: giving it up is work, too.
struct FileCalls::Upload {
  std::unique_ptr<blobs::BlobWriter> writer;
  store::OutputFile file;
  std::string url;
};

Result<FileCalls::Source> FileCalls::find_input(const v1::FetchInputRequest& request) const {
  Source source;
  MIMEO_ASSIGN_OR_RETURN(const PredictionId id, Uuid::parse(request.prediction_id()));
  if (request.url().empty()) {
    MIMEO_ASSIGN_OR_RETURN(source.text, parts_.predictions.get_input(id));
    return source;
  }
  MIMEO_ASSIGN_OR_RETURN(source.blob_key, key_of(request.url(), id));
  return source;
}

// Our own URLs only. A worker asks for whatever looks like one, and fetches what is not found here
// by itself.
Result<std::string> FileCalls::key_of(std::string_view url, PredictionId id) const {
  const std::string& base = options_.external_url;
  if (!url.starts_with(base)) return absl::NotFoundError("not a file of this service");
  std::string_view path = url.substr(base.size());
  path = path.substr(0, path.find_first_of("?#"));
  constexpr std::string_view kFiles = "/v1/files/";
  constexpr std::string_view kDelivery = "/delivery/";
  if (path.starts_with(kFiles)) return key_of_file(path.substr(kFiles.size()), id);
  if (path.starts_with(kDelivery)) return key_of_output(path.substr(kDelivery.size()));
  return absl::NotFoundError("not a file of this service");
}

// "<id>" or "<id>/download".
Result<std::string> FileCalls::key_of_file(std::string_view rest, PredictionId id) const {
  const Result<Uuid> file_id = Uuid::parse(rest.substr(0, rest.find('/')));
  if (!file_id.ok()) return absl::NotFoundError("no such file");
  MIMEO_ASSIGN_OR_RETURN(const store::PredictionView prediction, parts_.predictions.get(id, 0));
  MIMEO_ASSIGN_OR_RETURN(const store::File file,
                         parts_.files.get_file(*file_id, prediction.account, parts_.clock.now()));
  return file.blob_key;
}

// "<token>/<filename>": whoever has the link may read it.
Result<std::string> FileCalls::key_of_output(std::string_view rest) const {
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return absl::NotFoundError("no such file");
  const std::optional<std::string> name = http::percent_decode(rest.substr(slash + 1));
  if (!name) return absl::NotFoundError("no such file");
  const std::optional<DeliveryToken> token = parse_delivery_token(rest.substr(0, slash));
  if (!token) return absl::NotFoundError("no such file");
  const Result<store::OutputFile> file =
      parts_.files.get_output(token->prediction, token->secret, *name);
  if (absl::IsNotFound(file.status())) return old_output_key(*token, *name);
  if (!file.ok()) return file.status();
  return file->blob_key;
}

asio::awaitable<Status> FileCalls::send_text(std::string text, rpc::ServerWriter<v1::Chunk>* out) {
  for (std::size_t offset = 0; offset < text.size(); offset += kChunkBytes) {
    v1::Chunk chunk;
    chunk.set_data(text.substr(offset, kChunkBytes));
    MIMEO_CO_RETURN_IF_ERROR(co_await out->write(std::move(chunk)));
  }
  co_return absl::OkStatus();
}

asio::awaitable<Status> FileCalls::send_blob(std::string key, rpc::ServerWriter<v1::Chunk>* out) {
  auto open = [this, key = std::move(key)] { return parts_.blobs.open(key); };
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<blobs::BlobReader> blob,
                            co_await parts_.transfers.run(std::move(open)));
  for (std::uint64_t offset = 0;;) {
    auto read = [blob, offset]() -> Result<std::string> {
      std::string piece(kChunkBytes, '\0');
      MIMEO_ASSIGN_OR_RETURN(const std::size_t size, blob->read(offset, piece));
      piece.resize(size);
      return piece;
    };
    MIMEO_CO_ASSIGN_OR_RETURN(std::string piece, co_await parts_.transfers.run(std::move(read)));
    if (piece.empty()) co_return absl::OkStatus();
    offset += piece.size();
    v1::Chunk chunk;
    chunk.set_data(std::move(piece));
    MIMEO_CO_RETURN_IF_ERROR(co_await out->write(std::move(chunk)));
  }
}

asio::awaitable<Status> FileCalls::fetch_input(std::string token, v1::FetchInputRequest request,
                                               rpc::ServerWriter<v1::Chunk>* out) {
  auto find = [this, token = std::move(token), request = std::move(request)]() -> Result<Source> {
    MIMEO_RETURN_IF_ERROR(tokens_.check(token));
    return find_input(request);
  };
  MIMEO_CO_ASSIGN_OR_RETURN(Source source, co_await parts_.pool.run(std::move(find)));
  if (source.blob_key.empty()) co_return co_await send_text(std::move(source.text), out);
  co_return co_await send_blob(std::move(source.blob_key), out);
}

Status FileCalls::take_piece(Upload& upload, const v1::Chunk& piece) {
  if (upload.writer) return upload.writer->write(piece.data());
  if (!piece.has_head()) return absl::InvalidArgumentError("the first chunk lacks its head");
  MIMEO_ASSIGN_OR_RETURN(const PredictionId id, Uuid::parse(piece.head().id().prediction_id()));
  const std::string name = harmless_file_name(piece.head().filename(), "output");
  const std::string link = make_delivery_token(id, parts_.random);
  store::OutputFile& file = upload.file;
  file.prediction = id;
  file.secret = parse_delivery_token(link)->secret;
  file.filename = name;
  file.content_type = checked_content_type(piece.head().content_type());
  file.created_at = parts_.clock.now();
  file.blob_key = blobs::content_key(ids_->next());
  upload.url = delivery_url(options_.external_url, link, name);
  MIMEO_ASSIGN_OR_RETURN(upload.writer, parts_.blobs.create(file.blob_key));
  return upload.writer->write(piece.data());
}

Status FileCalls::commit(Upload& upload) {
  MIMEO_ASSIGN_OR_RETURN(const blobs::BlobInfo info, upload.writer->commit());
  upload.file.size_bytes = static_cast<std::int64_t>(info.size_bytes);
  upload.file.sha256_hex = info.sha256_hex;
  upload.file.md5_hex = info.md5_hex;
  return absl::OkStatus();
}

asio::awaitable<Result<v1::StoredOutput>> FileCalls::store_output(
    std::string token, rpc::ServerReader<v1::Chunk>* in) {
  auto check = [this, token = std::move(token)] { return tokens_.check(token); };
  MIMEO_CO_RETURN_IF_ERROR(co_await parts_.pool.run(std::move(check)));
  // Shared with the pool: its work runs to its end also when this coroutine is cancelled.
  const std::shared_ptr<Upload> upload = parts_.transfers.share(std::make_unique<Upload>());
  for (;;) {
    MIMEO_CO_ASSIGN_OR_RETURN(std::optional<v1::Chunk> piece, co_await in->read());
    if (!piece) break;
    auto write = [this, upload, piece = std::move(*piece)] { return take_piece(*upload, piece); };
    MIMEO_CO_RETURN_IF_ERROR(co_await parts_.transfers.run(std::move(write)));
  }
  if (!upload->writer) co_return absl::InvalidArgumentError("no chunk came");
  auto finish = [upload] { return commit(*upload); };
  MIMEO_CO_RETURN_IF_ERROR(co_await parts_.transfers.run(std::move(finish)));
  // The row goes last: what a link names is there.
  auto create = [this, upload] { return parts_.files.create_output(upload->file); };
  MIMEO_CO_RETURN_IF_ERROR(co_await parts_.pool.run(std::move(create)));
  v1::StoredOutput reply;
  reply.set_url(upload->url);
  reply.set_size_bytes(static_cast<std::uint64_t>(upload->file.size_bytes));
  co_return reply;
}

asio::awaitable<Result<v1::PullTokenReply>> FileCalls::pull_token(std::string token,
                                                                  v1::PullTokenRequest request) {
  auto work = [this, token = std::move(token),
               request = std::move(request)]() -> Result<PullGrant> {
    MIMEO_RETURN_IF_ERROR(tokens_.check(token));
    if (!parts_.pull_token) return absl::UnavailableError("there is no registry");
    return parts_.pull_token(request.repository());
  };
  MIMEO_CO_ASSIGN_OR_RETURN(const PullGrant grant, co_await parts_.pool.run(std::move(work)));
  v1::PullTokenReply reply;
  reply.set_registry(grant.registry);
  reply.set_token(grant.token);
  reply.set_expires_in_s(static_cast<std::uint32_t>(grant.lifetime.count()));
  co_return reply;
}

}  // namespace mimeo::control
