#include "common/blobs/s3_blobs.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "common/base/concat.h"
#include "common/base/ids.h"
#include "common/base/time_format.h"
#include "common/blobs/blob_key.h"
#include "common/blobs/spool.h"
#include "common/crypto/crypto.h"

namespace mimeo::blobs {
namespace {

constexpr std::size_t kWindow = 512 * 1024;  // Of a reader: what one request fetches.
constexpr std::size_t kMostKeys = 1'000;     // Of one list and of one batch of deletions.
constexpr std::uint64_t kMostParts = 10'000;

// Answers of 200 can be errors, too: the server had to begin before it knew.
bool is_hidden_error(const http::Response& answer) {
  return answer.body.find("<Error>") != std::string::npos;
}

std::string first_of(const std::vector<std::string>& texts) {
  return texts.empty() ? std::string() : texts.front();
}

class S3Writer final : public BlobWriter {
 public:
  S3Writer(const S3Client& client, std::string key, const S3BlobsOptions& options)
      : client_(client),
        key_(std::move(key)),
        part_bytes_(options.part_bytes),
        spool_(options.spool) {}
  ~S3Writer() override {
    // Whether the last request of a commit took effect is not always known: then it is too late to
    // abort, and the server says so.
    if (!upload_id_.empty() && !is_committed_) (void)abort();
  }

  Status write(std::string_view data) override {
    MIMEO_RETURN_IF_ERROR(status_);
    sha256_.update(data);
    md5_.update(data);
    info_.size_bytes += data.size();
    while (!data.empty()) {
      const std::uint64_t room = part_bytes_ - spool_.size_bytes();
      const std::string_view piece = data.substr(0, room);
      part_sha256_->update(piece);
      status_ = spool_.append(piece);
      data.remove_prefix(piece.size());
      // A full part waits until more comes: the last one must not be empty.
      if (status_.ok() && spool_.size_bytes() == part_bytes_ && !data.empty()) {
        status_ = send_part();
      }
      MIMEO_RETURN_IF_ERROR(status_);
    }
    return absl::OkStatus();
  }

  Result<BlobInfo> commit() override {
    if (is_committed_) return absl::FailedPreconditionError("the blob is already committed");
    MIMEO_RETURN_IF_ERROR(status_);  // A write failed: not all of it is there.
    status_ = upload_id_.empty() ? put_whole() : complete();
    MIMEO_RETURN_IF_ERROR(status_);
    is_committed_ = true;
    info_.sha256_hex = to_hex(sha256_.finish());
    info_.md5_hex = to_hex(md5_.finish());
    return info_;
  }

 private:
  http::BodySource source() const {
    http::BodySource source;
    source.size_bytes = spool_.size_bytes();
    source.read = [this](std::uint64_t offset, std::span<char> buffer) {
      return spool_.read(offset, buffer);
    };
    return source;
  }
  // What is in the spool, as the body of `request`.
  Result<http::Response> send_spool(S3Request request) {
    const http::BodySource body = source();
    request.method = "PUT";
    request.key = key_;
    request.source = &body;
    request.payload_sha256_hex = to_hex(part_sha256_->finish());
    part_sha256_ = std::make_unique<crypto::Sha256>();
    return client_.send(request);
  }
  Status put_whole() { return send_spool({}).status(); }

  Status send_part() {
    if (upload_id_.empty()) MIMEO_RETURN_IF_ERROR(begin());
    if (etags_.size() == kMostParts) return absl::ResourceExhaustedError("the blob is too large");
    S3Request request;
    request.query = {{"partNumber", std::to_string(etags_.size() + 1)}, {"uploadId", upload_id_}};
    MIMEO_ASSIGN_OR_RETURN(const http::Response answer, send_spool(std::move(request)));
    etags_.emplace_back(answer.headers.get("ETag"));
    return spool_.clear();
  }

  Status begin() {
    S3Request request;
    request.method = "POST";
    request.key = key_;
    request.query = {{"uploads", ""}};
    MIMEO_ASSIGN_OR_RETURN(const http::Response answer, client_.send(request));
    const auto ids = xml_texts(answer.body, "UploadId");
    if (ids.empty()) return absl::InternalError("S3 gave no upload id");
    upload_id_ = ids.front();
    return absl::OkStatus();
  }

  Status complete() {
    if (spool_.size_bytes() > 0) MIMEO_RETURN_IF_ERROR(send_part());
    S3Request request;
    request.method = "POST";
    request.key = key_;
    request.query = {{"uploadId", upload_id_}};
    request.body = "<CompleteMultipartUpload>";
    for (std::size_t i = 0; i < etags_.size(); ++i) {
      request.body +=
          concat("<Part><PartNumber>", i + 1, "</PartNumber><ETag>", etags_[i], "</ETag></Part>");
    }
    request.body += "</CompleteMultipartUpload>";
    const Result<http::Response> answer = client_.send(request);
    // Already completed, by a try whose answer was lost.
    if (absl::IsNotFound(answer.status())) return check_complete();
    MIMEO_RETURN_IF_ERROR(answer.status());
    if (is_hidden_error(*answer)) return absl::UnavailableError("S3 could not complete an upload");
    return absl::OkStatus();
  }
  Status check_complete() {
    S3Request request;
    request.method = "HEAD";
    request.key = key_;
    MIMEO_ASSIGN_OR_RETURN(const http::Response answer, client_.send(request));
    if (answer.headers.get("Content-Length") == std::to_string(info_.size_bytes)) {
      return absl::OkStatus();
    }
    return absl::InternalError("S3 has another size of a completed upload");
  }
  Status abort() {
    S3Request request;
    request.method = "DELETE";
    request.key = key_;
    request.query = {{"uploadId", upload_id_}};
    return client_.send(request).status();
  }

  const S3Client& client_;
  const std::string key_;
  const std::uint64_t part_bytes_;
  Spool spool_;  // The part that is not sent yet.
  std::unique_ptr<crypto::Sha256> part_sha256_ = std::make_unique<crypto::Sha256>();  // Of it.
  crypto::Sha256 sha256_;
  crypto::Md5 md5_;
  BlobInfo info_;
  std::string upload_id_;           // Empty while everything fits into one part.
  std::vector<std::string> etags_;  // Of the parts that were sent.
  Status status_;                   // Of the first step that failed.
  bool is_committed_ = false;
};

// Reads a window at a time. The first one comes with open(), so that a small blob costs one
// request.
class S3Reader final : public BlobReader {
 public:
  S3Reader(const S3Client& client, std::string key) : client_(client), key_(std::move(key)) {}

  Status open() {
    S3Request request;
    request.key = key_;
    request.headers = {{"range", concat("bytes=0-", kWindow - 1)}};
    MIMEO_ASSIGN_OR_RETURN(http::Response answer, client_.send(request, {416}));
    if (answer.status == 416) return absl::OkStatus();  // An empty one has no range.
    etag_ = answer.headers.get("ETag");
    window_ = std::move(answer.body);
    size_bytes_ = window_.size();
    if (answer.status != 206) return absl::OkStatus();
    const std::string_view range = answer.headers.get("Content-Range");
    const std::string_view size = range.substr(std::min(range.find('/') + 1, range.size()));
    const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), size_bytes_);
    if (size.empty() || error != std::errc() || end != size.data() + size.size()) {
      return absl::InternalError("S3 gave a part without its size");
    }
    return absl::OkStatus();
  }

  [[nodiscard]] std::uint64_t size_bytes() const override { return size_bytes_; }

  Result<std::size_t> read(std::uint64_t offset, std::span<char> buffer) override {
    if (offset >= size_bytes_ || buffer.empty()) return std::size_t{0};
    if (offset < window_begin_ || offset >= window_begin_ + window_.size()) {
      MIMEO_RETURN_IF_ERROR(fetch(offset));
    }
    const std::size_t at = offset - window_begin_;
    const std::size_t count = std::min(buffer.size(), window_.size() - at);
    std::copy_n(window_.data() + at, count, buffer.data());
    return count;
  }

 private:
  Status fetch(std::uint64_t offset) {
    S3Request request;
    request.key = key_;
    const std::uint64_t last = std::min<std::uint64_t>(offset + kWindow, size_bytes_) - 1;
    request.headers = {{"range", concat("bytes=", offset, "-", last)}};
    if (!etag_.empty()) request.headers.emplace_back("if-match", etag_);  // Never of two blobs.
    std::string().swap(window_);
    MIMEO_ASSIGN_OR_RETURN(http::Response answer, client_.send(request));
    if (answer.status != 206 || answer.body.size() != last - offset + 1) {
      return absl::InternalError("S3 gave another part than was asked for");
    }
    window_ = std::move(answer.body);
    window_begin_ = offset;
    return absl::OkStatus();
  }

  const S3Client& client_;
  const std::string key_;
  std::string etag_;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t window_begin_ = 0;
  std::string window_;
};

}  // namespace

std::string S3Blobs::full_key(std::string_view key) const {
  return options_.prefix.empty() ? std::string(key) : concat(options_.prefix, "/", key);
}

Result<std::unique_ptr<S3Blobs>> S3Blobs::open_bucket(S3BlobsOptions options, const Clock& clock,
                                                      Random& random) {
  const bool is_bucket =
      options.s3.bucket.find('/') == std::string::npos && check_key(options.s3.bucket).ok();
  if (!is_bucket || (!options.prefix.empty() && !check_key(options.prefix).ok())) {
    return absl::FailedPreconditionError("not the name of a bucket, or of a prefix in it");
  }
  std::unique_ptr<S3Blobs> blobs(new S3Blobs(std::move(options), clock, random));
  const Status status = blobs->check_bucket();
  if (status.ok()) return blobs;
  if (absl::IsUnavailable(status)) return status;
  return absl::FailedPreconditionError(
      concat("the bucket cannot be used: ", std::string(status.message())));
}

// Whether the bucket is there and the credentials are good.
Status S3Blobs::check_bucket() const {
  S3Request request;
  request.query = {{"list-type", "2"}, {"prefix", full_key("")}, {"max-keys", "1"}};
  return client_.send(request).status();
}

Status S3Blobs::end_upload(const std::string& full_key, const std::string& upload_id) const {
  S3Request request;
  request.method = "DELETE";
  request.key = full_key;
  request.query = {{"uploadId", upload_id}};
  const Status ended = client_.send(request).status();
  return absl::IsNotFound(ended) ? absl::OkStatus() : ended;
}

// Page by page, also past uploads that are young or cannot be ended.
Status S3Blobs::remove_unfinished(std::chrono::seconds age) {
  Status status;
  std::string key_marker;
  std::string id_marker;
  while (true) {
    S3Request request;
    request.query = {{"uploads", ""}, {"prefix", full_key("")}};
    if (!key_marker.empty()) request.query.emplace_back("key-marker", key_marker);
    if (!id_marker.empty()) request.query.emplace_back("upload-id-marker", id_marker);
    // A server without this list has uploads that end by themselves, or its operator's rule.
    MIMEO_ASSIGN_OR_RETURN(const http::Response answer, client_.send(request, {501}));
    if (answer.status == 501) return absl::OkStatus();
    const auto keys = xml_texts(answer.body, "Key");
    const auto ids = xml_texts(answer.body, "UploadId");
    const auto dates = xml_texts(answer.body, "Initiated");
    for (std::size_t i = 0; i < std::min({keys.size(), ids.size(), dates.size()}); ++i) {
      const Result<WallTime> begun = parse_rfc3339(dates[i]);
      if (!begun.ok() || *begun > clock_.now() - age) continue;
      const Status ended = end_upload(keys[i], ids[i]);
      if (status.ok()) status = ended;
    }
    const auto next_key = xml_texts(answer.body, "NextKeyMarker");
    const auto next_id = xml_texts(answer.body, "NextUploadIdMarker");
    const std::string last_key = std::exchange(key_marker, first_of(next_key));
    const std::string last_id = std::exchange(id_marker, first_of(next_id));
    const bool goes_on = first_of(xml_texts(answer.body, "IsTruncated")) == "true" &&
                         !key_marker.empty() && (key_marker != last_key || id_marker != last_id);
    if (!goes_on) return status;
  }
}

Result<Versioning> S3Blobs::versioning() const {
  S3Request request;
  request.query = {{"versioning", ""}};
  const Result<http::Response> answer = client_.send(request, {501});
  if (absl::IsUnavailable(answer.status())) return answer.status();
  if (!answer.ok() || answer->status == 501) return Versioning::kUnknown;
  return xml_texts(answer->body, "Status").empty() ? Versioning::kNever : Versioning::kOn;
}

Result<std::unique_ptr<BlobWriter>> S3Blobs::create(std::string_view key) {
  MIMEO_RETURN_IF_ERROR(check_key(key));
  return std::make_unique<S3Writer>(client_, full_key(key), options_);
}

Result<std::unique_ptr<BlobReader>> S3Blobs::open(std::string_view key) {
  MIMEO_RETURN_IF_ERROR(check_key(key));
  auto reader = std::make_unique<S3Reader>(client_, full_key(key));
  MIMEO_RETURN_IF_ERROR(reader->open());
  return reader;
}

Status S3Blobs::remove(std::string_view key) {
  MIMEO_RETURN_IF_ERROR(check_key(key));
  S3Request request;
  request.method = "DELETE";
  request.key = full_key(key);
  return client_.send(request, {404}).status();
}

NotRemoved S3Blobs::remove_batch(std::span<const std::string> keys) const {
  S3Request request;
  request.method = "POST";
  request.query = {{"delete", ""}};
  request.body = "<Delete><Quiet>true</Quiet>";
  for (const std::string& key : keys) {
    request.body += concat("<Object><Key>", full_key(key), "</Key></Object>");
  }
  request.body += "</Delete>";
  request.headers = {{"content-md5", crypto::base64(crypto::md5(request.body))}};
  const Result<http::Response> answer = client_.send(request);
  if (!answer.ok()) return {{keys.begin(), keys.end()}, answer.status()};
  NotRemoved left;
  if (!is_hidden_error(*answer)) return left;
  left.why =
      absl::InternalError(concat("S3 did not delete: ", first_of(xml_texts(answer->body, "Code"))));
  std::set<std::string> failed;
  for (const std::string& error : xml_texts(answer->body, "Error")) {
    failed.insert(first_of(xml_texts(error, "Key")));
  }
  for (const std::string& key : keys) {
    if (failed.contains("") || failed.contains(full_key(key))) left.keys.push_back(key);
  }
  return left;
}

NotRemoved S3Blobs::remove_many(std::span<const std::string> keys) {
  NotRemoved left;
  std::vector<std::string> good;
  for (const std::string& key : keys) {
    const Status checked = check_key(key);
    if (checked.ok()) {
      good.push_back(key);
      continue;
    }
    if (left.why.ok()) left.why = checked;
    left.keys.push_back(key);
  }
  for (std::span<const std::string> rest = good; !rest.empty();) {
    const auto batch = rest.first(std::min(rest.size(), kMostKeys));
    rest = rest.subspan(batch.size());
    NotRemoved of_batch = remove_batch(batch);
    if (left.why.ok()) left.why = of_batch.why;
    left.keys.insert(left.keys.end(), of_batch.keys.begin(), of_batch.keys.end());
  }
  return left;
}

Status S3Blobs::remove_all(std::string_view prefix) {
  Status status;
  std::string after;  // Past those that stay.
  while (true) {
    MIMEO_ASSIGN_OR_RETURN(const std::vector<std::string> keys, list(prefix, after, kMostKeys));
    if (keys.empty()) return status;
    after = keys.back();
    const NotRemoved left = remove_many(keys);
    if (status.ok()) status = left.why;
  }
}

Result<std::vector<std::string>> S3Blobs::list(std::string_view prefix, std::string_view after,
                                               std::size_t limit) {
  MIMEO_RETURN_IF_ERROR(check_key(prefix));
  const std::size_t own = full_key("").size();
  std::vector<std::string> keys;
  std::string position = after.empty() ? "" : full_key(after);
  while (keys.size() < limit) {
    S3Request request;
    request.query = {{"list-type", "2"},
                     {"prefix", concat(full_key(prefix), "/")},
                     {"max-keys", std::to_string(std::min(limit - keys.size(), kMostKeys))}};
    if (!position.empty()) request.query.emplace_back("start-after", position);
    MIMEO_ASSIGN_OR_RETURN(const http::Response answer, client_.send(request));
    const std::vector<std::string> found = xml_texts(answer.body, "Key");
    if (found.empty()) break;
    position = found.back();
    for (const std::string& key : found) keys.push_back(key.substr(own));
    const auto truncated = xml_texts(answer.body, "IsTruncated");
    if (truncated.empty() || truncated.front() != "true") break;
  }
  return keys;
}

}  // namespace mimeo::blobs
