// POST /files: a multipart body, streamed into the blob store. Every client has its own habits, so
// parts are matched by their names only.

#include <optional>
#include <utility>

#include "common/base/file_names.h"
#include "common/blobs/blob_key.h"
#include "common/store/text.h"
#include "control-plane/api/file_metadata.h"
#include "control-plane/api/resources.h"
#include "control-plane/http/json_codec.h"
#include "control-plane/http/multipart.h"
#include "control-plane/http/problem.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kChunk = 64 * 1024;
constexpr std::size_t kLongestField = 64 * 1024;
constexpr std::size_t kLongestName = 255;
constexpr const char* kUnknownType = "application/octet-stream";

// Collects the parts of one upload; the content goes to the blob store as it comes. Used on threads
// for transfers, one call at a time, and it dies on one: giving an upload up is work, too.
class Upload final : public PartSink {
 public:
  Upload(blobs::BlobStore& blobs, store::File file, std::uint64_t limit, std::string boundary)
      : blobs_(blobs), file_(std::move(file)), limit_(limit), parser_(boundary, *this) {}

  Status feed(std::string_view data) { return parser_.feed(data); }
  // Commits the content and completes the metadata. Errors of the caller are kInvalidArgument.
  Result<store::File> finish() {
    MIMEO_RETURN_IF_ERROR(parser_.finish());
    if (writer_ == nullptr) return absl::InvalidArgumentError("the part \"content\" is missing");
    MIMEO_RETURN_IF_ERROR(take_names());
    file_.metadata = metadata_.json();
    MIMEO_ASSIGN_OR_RETURN(const blobs::BlobInfo info, writer_->commit());
    file_.size_bytes = static_cast<std::int64_t>(info.size_bytes);
    file_.sha256_hex = info.sha256_hex;
    file_.md5_hex = info.md5_hex;
    return file_;
  }
  [[nodiscard]] bool is_too_large() const { return is_too_large_; }

  Status begin_part(PartHead head) override {
    is_content_ = head.name == "content";
    field_.clear();
    field_name_ = head.name;
    if (!is_content_) return absl::OkStatus();
    if (writer_ != nullptr) return absl::InvalidArgumentError("there are two parts \"content\"");
    part_name_ = std::move(head.filename);
    part_type_ = std::move(head.content_type);
    MIMEO_ASSIGN_OR_RETURN(writer_, blobs_.create(file_.blob_key));
    return absl::OkStatus();
  }

  Status part_data(std::string_view data) override {
    if (!is_content_) {
      field_.append(data);
      if (field_.size() <= kLongestField) return absl::OkStatus();
      return absl::InvalidArgumentError(concat("the part \"", field_name_, "\" is too large"));
    }
    size_ += data.size();
    if (size_ >= limit_) {
      is_too_large_ = true;
      return absl::ResourceExhaustedError("the file is too large");
    }
    return writer_->write(data);
  }

  Status end_part() override {
    if (is_content_) return absl::OkStatus();
    if (field_name_ == "filename") name_field_ = field_;
    if (field_name_ == "type") type_field_ = field_;
    if (field_name_ == "metadata") return metadata_.set_text(field_);
    if (field_name_.starts_with("metadata[")) return metadata_.add_field(field_name_, field_);
    return absl::OkStatus();
  }

 private:
  Status take_names() {
    std::string name = name_field_.value_or(part_name_.value_or(""));
    if (name.empty()) name = "file";
    if (name.size() > kLongestName) {
      return absl::InvalidArgumentError("the file's name must be at most 255 bytes long");
    }
    file_.name = store::sanitize_text(name);
    file_.content_type = checked_content_type(type_field_.value_or(part_type_));
    if (file_.content_type.empty()) file_.content_type = kUnknownType;
    return absl::OkStatus();
  }

  blobs::BlobStore& blobs_;
  store::File file_;
  const std::uint64_t limit_;

  // The part that is being read.
  bool is_content_ = false;
  std::string field_name_;
  std::string field_;

  std::unique_ptr<blobs::BlobWriter> writer_;
  std::uint64_t size_ = 0;
  bool is_too_large_ = false;
  std::optional<std::string> part_name_, name_field_, type_field_;
  std::string part_type_;
  FileMetadata metadata_;
  MultipartParser parser_;
};

boost::asio::awaitable<Status> receive(Api& api, http::Exchange& exchange,
                                       std::shared_ptr<Upload> upload) {
  std::string buffer(kChunk, '\0');
  while (true) {
    const Result<std::size_t> count = co_await exchange.read_some(buffer);
    if (!count.ok()) co_return count.status();
    if (*count == 0) co_return absl::OkStatus();
    auto feed = [upload, data = buffer.substr(0, *count)] { return upload->feed(data); };
    MIMEO_CO_RETURN_IF_ERROR(co_await api.parts.transfers.run(std::move(feed)));
  }
}

// Stores the metadata last: a file that is listed is there.
boost::asio::awaitable<Result<store::File>> complete(Api& api, std::shared_ptr<Upload> upload) {
  auto finish = [upload] { return upload->finish(); };
  MIMEO_CO_ASSIGN_OR_RETURN(store::File file, co_await api.parts.transfers.run(std::move(finish)));
  auto create = [files = &api.parts.files, file] { return files->create_file(file); };
  MIMEO_CO_RETURN_IF_ERROR(co_await api.parts.pool.run(std::move(create)));
  co_return file;
}

}  // namespace

ExchangeAnswer create_file(Api& api, Call& call, http::Exchange& exchange) {
  const auto place = api.uploads.take();
  if (!place) co_return absl::ResourceExhaustedError("too many uploads at once");
  const auto boundary = multipart_boundary(call.head->headers.get("Content-Type"));
  if (!boundary) co_return problem::bad_request("The request must be multipart/form-data.");
  store::File file;
  file.id = api.ids.next();
  file.account = call.viewer();
  file.created_at = api.parts.clock.now();
  file.expires_at = file.created_at + api.settings.file_lifetime;
  file.blob_key = blobs::content_key(file.id);
  const std::uint64_t limit = api.settings.max_file.count;
  const std::shared_ptr<Upload> upload = api.parts.transfers.share(
      std::make_unique<Upload>(api.parts.blobs, std::move(file), limit, *boundary));
  const Status received = co_await receive(api, exchange, upload);
  if (upload->is_too_large()) co_return problem::file_too_large(limit);
  if (absl::IsDeadlineExceeded(received)) co_return problem::request_timeout();
  if (!received.ok()) co_return received;
  MIMEO_CO_ASSIGN_OR_RETURN(const store::File stored, co_await complete(api, upload));
  co_return json_response(201, file_json(stored, api.urls));
}

}  // namespace mimeo::control
