#include "control-plane/api/example_files.h"

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "common/http/message.h"
#include "control-plane/http/json_text.h"
#include "control-plane/public_links.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

constexpr std::size_t kChunkBytes = 256 << 10;

// Something of ours that a URL names.
struct Source {
  std::string blob_key;
  std::string filename;
};

class ExampleCopier {
 public:
  ExampleCopier(const ApiParts& parts, const Urls& urls, Uuid files, AccountId account)
      : parts_(parts), urls_(urls), files_(files), account_(account) {}

  // `text` with the URLs of the copies. `must_exist`: whether a file that is gone is an error.
  Status replace(std::string& text, bool must_exist) {
    if (!contains(text, urls_.external())) return absl::OkStatus();
    Result<nlohmann::json> value = parse_json(text);
    if (!value.ok()) return absl::OkStatus();  // Nested too deeply to be looked at.
    MIMEO_RETURN_IF_ERROR(visit(*value, must_exist));
    text = value->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return absl::OkStatus();
  }

 private:
  Status visit(nlohmann::json& value, bool must_exist) {
    if (value.is_string()) {
      MIMEO_ASSIGN_OR_RETURN(const std::optional<std::string> copy,
                             copy_of(value.get_ref<const std::string&>(), must_exist));
      if (copy) value = *copy;
    } else if (value.is_structured()) {
      for (nlohmann::json& item : value) {
        MIMEO_RETURN_IF_ERROR(visit(item, must_exist));
      }
    }
    return absl::OkStatus();
  }

  // nullopt when `url` is no file of ours, or one that is gone and may be.
  Result<std::optional<std::string>> copy_of(const std::string& url, bool must_exist) {
    if (const auto done = copies_.find(url); done != copies_.end()) return done->second;
    const std::optional<Source> source = source_of(url);
    if (!source) return std::optional<std::string>();
    auto reader = parts_.blobs.open(source->blob_key);
    if (absl::IsNotFound(reader.status())) {
      if (!must_exist) return std::optional<std::string>();
      return absl::FailedPreconditionError("The prediction's output files have been removed.");
    }
    if (!reader.ok()) return reader.status();
    if (copies_.size() >= kMaxExampleFiles) {
      return absl::ResourceExhaustedError("An example can have at most 64 files.");
    }
    const std::string token = make_delivery_token(files_, parts_.random);
    MIMEO_RETURN_IF_ERROR(copy(**reader, token, source->filename));
    std::string copy = delivery_url(urls_.external(), token, source->filename);
    copies_.emplace(url, copy);
    return std::optional<std::string>(std::move(copy));
  }

  Status copy(blobs::BlobReader& reader, const std::string& token, const std::string& filename) {
    bytes_ += reader.size_bytes();
    if (bytes_ > kMaxExampleBytes) {
      return absl::ResourceExhaustedError("An example can have at most 1 GB of files.");
    }
    const std::optional<std::string> key = delivery_blob_key(token, filename);
    if (!key) return absl::InternalError("a token of our own is malformed");
    MIMEO_ASSIGN_OR_RETURN(const std::unique_ptr<blobs::BlobWriter> writer,
                           parts_.blobs.create(*key));
    std::vector<char> buffer(kChunkBytes);
    std::uint64_t at = 0;
    while (true) {
      MIMEO_ASSIGN_OR_RETURN(const std::size_t count, reader.read(at, buffer));
      if (count == 0) break;
      MIMEO_RETURN_IF_ERROR(writer->write({buffer.data(), count}));
      at += count;
    }
    return writer->commit().status();
  }

  std::optional<Source> source_of(std::string_view url) {
    if (!url.starts_with(urls_.external())) return std::nullopt;
    std::string_view path = url.substr(urls_.external().size());
    path = path.substr(0, path.find_first_of("?#"));
    if (consume_prefix(&path, "/delivery/")) return output_of(path);
    if (consume_prefix(&path, "/v1/files/")) return upload_of(path);
    return std::nullopt;
  }

  // "<token>/<filename>": whoever has the link may read it.
  static std::optional<Source> output_of(std::string_view path) {
    const auto slash = path.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    std::optional<std::string> name = http::percent_decode(path.substr(slash + 1));
    if (!name) return std::nullopt;
    std::optional<std::string> key = delivery_blob_key(path.substr(0, slash), *name);
    if (!key) return std::nullopt;
    return Source{*std::move(key), *std::move(name)};
  }

  // "<id>" or "<id>/download", of the owner's own files only.
  std::optional<Source> upload_of(std::string_view path) {
    const Result<Uuid> id = Uuid::parse(path.substr(0, path.find('/')));
    if (!id.ok()) return std::nullopt;
    const auto file = parts_.files.get_file(*id, account_, parts_.clock.now());
    if (!file.ok()) return std::nullopt;
    std::string name = file->name.substr(file->name.find_last_of('/') + 1);
    std::erase_if(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (name.empty() || name == "." || name == "..") name = "file";
    return Source{file->blob_key(), std::move(name)};
  }

  const ApiParts& parts_;
  const Urls& urls_;
  const Uuid files_;
  const AccountId account_;
  std::map<std::string, std::string> copies_;  // URL of the original -> URL of the copy.
  std::uint64_t bytes_ = 0;
};

}  // namespace

Status copy_example_files(const ApiParts& parts, const Urls& urls, Uuid files,
                          store::PredictionView& view) {
  ExampleCopier copier(parts, urls, files, view.account);
  Status status = copier.replace(view.output, true);
  if (status.ok()) status = copier.replace(view.input, false);
  if (!status.ok()) (void)remove_example_files(parts, files);
  return status;
}

Status remove_example_files(const ApiParts& parts, Uuid files) {
  return parts.blobs.remove_all(delivery_blob_prefix(files));
}

}  // namespace mimeo::control
