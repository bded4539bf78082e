#include "control-plane/api/example_files.h"

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "common/blobs/blob_key.h"
#include "common/http/message.h"
#include "control-plane/http/json_text.h"
#include "control-plane/public_links.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kChunkBytes = 256 << 10;

class InputCopier {
 public:
  InputCopier(Api& api, PredictionId prediction, AccountId account)
      : api_(api), prediction_(prediction), account_(account) {}

  // `text` with the URLs of the copies.
  Status replace(std::string& text) {
    if (!contains(text, api_.urls.external())) return absl::OkStatus();
    Result<nlohmann::json> value = parse_json(text);
    if (!value.ok()) return absl::OkStatus();  // Nested too deeply to be looked at.
    MIMEO_RETURN_IF_ERROR(visit(*value));
    text = value->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return absl::OkStatus();
  }

 private:
  Status visit(nlohmann::json& value) {
    if (value.is_string()) {
      MIMEO_ASSIGN_OR_RETURN(const std::optional<std::string> copy,
                             copy_of(value.get_ref<const std::string&>()));
      if (copy) value = *copy;
    } else if (value.is_structured()) {
      for (nlohmann::json& item : value) MIMEO_RETURN_IF_ERROR(visit(item));
    }
    return absl::OkStatus();
  }

  // nullopt when `url` is no upload of this account, or one that is gone.
  Result<std::optional<std::string>> copy_of(const std::string& url) {
    if (const auto done = copies_.find(url); done != copies_.end()) return done->second;
    const std::optional<store::File> source = upload_of(url);
    if (!source) return std::optional<std::string>();
    auto reader = api_.parts.blobs.open(source->blob_key);
    if (absl::IsNotFound(reader.status())) return std::optional<std::string>();
    if (!reader.ok()) return reader.status();
    if (copies_.size() >= kMaxExampleFiles) {
      return absl::ResourceExhaustedError("An example can have at most 64 files.");
    }
    MIMEO_ASSIGN_OR_RETURN(std::string copy, this->copy(**reader, *source));
    copies_.emplace(url, copy);
    return std::optional<std::string>(std::move(copy));
  }

  // Its URL. The row goes last: what a link names is there.
  Result<std::string> copy(blobs::BlobReader& reader, const store::File& source) {
    bytes_ += reader.size_bytes();
    if (bytes_ > kMaxExampleBytes) {
      return absl::ResourceExhaustedError("An example can have at most 1 GB of files.");
    }
    const std::string token = make_delivery_token(prediction_, api_.parts.random);
    store::OutputFile file;
    file.prediction = prediction_;
    file.secret = parse_delivery_token(token)->secret;
    file.filename = filename_of(source.name);
    file.created_at = api_.parts.clock.now();
    file.blob_key = blobs::content_key(api_.ids.next());
    MIMEO_ASSIGN_OR_RETURN(const std::unique_ptr<blobs::BlobWriter> writer,
                           api_.parts.blobs.create(file.blob_key));
    std::vector<char> buffer(kChunkBytes);
    std::uint64_t at = 0;
    while (true) {
      MIMEO_ASSIGN_OR_RETURN(const std::size_t count, reader.read(at, buffer));
      if (count == 0) break;
      MIMEO_RETURN_IF_ERROR(writer->write({buffer.data(), count}));
      at += count;
    }
    MIMEO_ASSIGN_OR_RETURN(const blobs::BlobInfo info, writer->commit());
    file.size_bytes = static_cast<std::int64_t>(info.size_bytes);
    file.sha256_hex = info.sha256_hex;
    file.md5_hex = info.md5_hex;
    MIMEO_RETURN_IF_ERROR(api_.parts.files.create_output(file));
    return delivery_url(api_.urls.external(), token, file.filename);
  }

  static std::string filename_of(const std::string& uploaded) {
    std::string name = uploaded.substr(uploaded.find_last_of('/') + 1);
    std::erase_if(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (name.empty() || name == "." || name == "..") name = "file";
    return name;
  }

  // "<external>/v1/files/<id>", also with "/download" behind it.
  std::optional<store::File> upload_of(std::string_view url) const {
    if (!url.starts_with(api_.urls.external())) return std::nullopt;
    std::string_view path = url.substr(api_.urls.external().size());
    path = path.substr(0, path.find_first_of("?#"));
    if (!consume_prefix(&path, "/v1/files/")) return std::nullopt;
    const Result<Uuid> id = Uuid::parse(path.substr(0, path.find('/')));
    if (!id.ok()) return std::nullopt;
    auto file = api_.parts.files.get_file(*id, account_, api_.parts.clock.now());
    if (!file.ok()) return std::nullopt;
    return *std::move(file);
  }

  Api& api_;
  const PredictionId prediction_;
  const AccountId account_;
  std::map<std::string, std::string> copies_;  // URL of the original -> URL of the copy.
  std::uint64_t bytes_ = 0;
};

}  // namespace

Status keep_example_files(Api& api, store::PredictionView& view) {
  MIMEO_RETURN_IF_ERROR(api.parts.retention.keep_prediction(view.id));
  Status status = InputCopier(api, view.id, view.account).replace(view.input);
  if (!status.ok()) (void)api.parts.retention.release_prediction(view.id);
  return status;
}

}  // namespace mimeo::control
