#include "control-plane/api/example_files.h"

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/file_names.h"
#include "control-plane/http/json_text.h"
#include "control-plane/public_links.h"
#include "control-plane/strings.h"

namespace mimeo::control {
namespace {

class InputSharer {
 public:
  InputSharer(Api& api, PredictionId prediction, AccountId account)
      : api_(api), prediction_(prediction), account_(account) {}

  // `text` with the URLs under which the prediction has them.
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
      MIMEO_ASSIGN_OR_RETURN(const std::optional<std::string> link,
                             link_of(value.get_ref<const std::string&>()));
      if (link) value = *link;
    } else if (value.is_structured()) {
      for (nlohmann::json& item : value) MIMEO_RETURN_IF_ERROR(visit(item));
    }
    return absl::OkStatus();
  }

  // nullopt when `url` is no upload of this account, or one that is gone.
  Result<std::optional<std::string>> link_of(const std::string& url) {
    if (const auto done = links_.find(url); done != links_.end()) return done->second;
    const std::optional<store::File> source = upload_of(url);
    if (!source) return std::optional<std::string>();
    if (links_.size() >= kMaxExampleFiles) {
      return absl::ResourceExhaustedError("An example can have at most 64 files.");
    }
    bytes_ += static_cast<std::uint64_t>(source->size_bytes);
    if (bytes_ > kMaxExampleBytes) {
      return absl::ResourceExhaustedError("An example can have at most 1 GB of files.");
    }
    MIMEO_ASSIGN_OR_RETURN(std::optional<std::string> link, share(*source));
    if (link) links_.emplace(url, *link);
    return link;
  }

  // Its URL as a file of the prediction; nullopt when it has gone meanwhile. The content stays
  // where it is.
  Result<std::optional<std::string>> share(const store::File& source) {
    const std::string token = make_delivery_token(prediction_, api_.parts.random);
    store::OutputFile file;
    file.prediction = prediction_;
    file.secret = parse_delivery_token(token)->secret;
    file.filename = harmless_file_name(source.name);
    file.created_at = api_.parts.clock.now();
    const Status shared = api_.parts.files.share_upload(source.id, account_, file);
    if (absl::IsNotFound(shared)) return std::optional<std::string>();
    MIMEO_RETURN_IF_ERROR(shared);
    return std::optional<std::string>(delivery_url(api_.urls.external(), token, file.filename));
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
  std::map<std::string, std::string> links_;  // URL of the upload -> URL of the shared file.
  std::uint64_t bytes_ = 0;
};

}  // namespace

Status keep_example_files(Api& api, store::PredictionView& view) {
  MIMEO_RETURN_IF_ERROR(api.parts.retention.keep_prediction(view.id));
  Status status = InputSharer(api, view.id, view.account).replace(view.input);
  if (!status.ok()) (void)api.parts.retention.release_prediction(view.id);
  return status;
}

}  // namespace mimeo::control
