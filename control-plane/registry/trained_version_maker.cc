#include "control-plane/registry/trained_version_maker.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/domain/names.h"
#include "control-plane/public_links.h"
#include "control-plane/registry/image_reading.h"
#include "control-plane/registry/trained_image.h"

namespace mimeo::control {
namespace {

using Json = nlohmann::ordered_json;

// The file as it was stored for this training, by its public URL.
Result<std::string> blob_key_of(std::string_view url, const std::string& external_url,
                                PredictionId training, store::FilesStore& files) {
  const std::string prefix = external_url + "/delivery/" + training.str();
  const auto refuse = [] {
    return absl::InvalidArgumentError("its weights are no file that the training returned");
  };
  if (!url.starts_with(prefix)) return refuse();
  const std::string_view rest = url.substr(external_url.size() + std::string("/delivery/").size());
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return refuse();
  const auto name = http::percent_decode(rest.substr(slash + 1));
  const auto token = parse_delivery_token(rest.substr(0, slash));
  if (!name || !token) return refuse();
  const auto file = files.get_output(training, token->secret, *name);
  if (absl::IsNotFound(file.status())) {
    return absl::FailedPreconditionError("its weights were removed meanwhile");
  }
  MIMEO_RETURN_IF_ERROR(file.status());
  return file->blob_key;
}

// What the trainer returned, with the version beside it.
std::string output_of(const std::string& returned, const std::string& version,
                      const std::string& weights) {
  Json output = {{"version", version}, {"weights", weights}};
  const Json given = Json::parse(returned, nullptr, /*allow_exceptions=*/false);
  if (given.is_object()) {
    for (const auto& [name, value] : given.items()) {
      if (!output.contains(name)) output[name] = value;
    }
  }
  return output.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::optional<std::string> find_weights(std::string_view output) {
  const Json json = Json::parse(output, nullptr, /*allow_exceptions=*/false);
  const Json* value = &json;
  if (json.is_object()) {
    const auto weights = json.find("weights");
    if (weights == json.end()) return std::nullopt;
    value = &*weights;
  }
  if (value->is_array() && value->size() == 1) value = &value->front();
  if (!value->is_string()) return std::nullopt;
  return value->get<std::string>();
}

TrainedVersionMaker::TrainedVersionMaker(Parts parts, Options options)
    : parts_(parts),
      options_(std::move(options)),
      outbound_(http::any_address(), stop_.get_token()),
      reader_(outbound_, options_.registry_url,
              [this](std::string_view repository) -> Result<std::string> {
                return parts_.tokens.pull_token(repository);
              }),
      writer_(
          outbound_, options_.registry_url,
          [this](const std::string& repository, const std::string& from) -> Result<std::string> {
            return parts_.tokens.push_token(repository, from);
          },
          {}) {}

Result<store::Model> TrainedVersionMaker::find_destination(
    const store::PredictionView& training) const {
  MIMEO_ASSIGN_OR_RETURN(const auto name, split_model_name(training.destination));
  auto model = parts_.catalog.get_model(name.first, name.second, /*viewer=*/0);
  if (absl::IsNotFound(model.status())) {
    return absl::FailedPreconditionError("the destination " + training.destination +
                                         " does not exist any more");
  }
  if (model.ok() && model->owner_id != training.account) {
    return absl::FailedPreconditionError("the destination " + training.destination +
                                         " belongs to somebody else");
  }
  return model;
}

Result<TrainedVersionMaker::Base> TrainedVersionMaker::read_base(VersionId version) const {
  Base base;
  MIMEO_ASSIGN_OR_RETURN(base.version, parts_.catalog.get_version(version, /*viewer=*/0));
  const std::string& repository = base.version.repository;
  MIMEO_ASSIGN_OR_RETURN(auto resolved, reader_.resolve(repository, base.version.image_digest));
  base.image = std::move(resolved.image);
  MIMEO_ASSIGN_OR_RETURN(base.config, reader_.get_config_text(repository, base.image));
  return base;
}

Result<oci::SingleFileLayer> TrainedVersionMaker::layer_of(const std::string& path,
                                                           const std::string& url,
                                                           PredictionId training) const {
  MIMEO_ASSIGN_OR_RETURN(const std::string key,
                         blob_key_of(url, options_.external_url, training, parts_.files));
  auto opened = parts_.blobs.open(key);
  if (absl::IsNotFound(opened.status())) {
    return absl::FailedPreconditionError("its weights were removed meanwhile");
  }
  MIMEO_RETURN_IF_ERROR(opened.status());
  const std::shared_ptr<blobs::BlobReader> blob = std::move(*opened);
  return oci::SingleFileLayer::make(
      path.substr(1), blob->size_bytes(),
      [this, blob](std::uint64_t offset, std::span<char> buffer) -> Result<std::size_t> {
        if (stop_.stop_requested()) return absl::CancelledError("stopping");
        return blob->read(offset, buffer);
      });
}

Result<store::Version> TrainedVersionMaker::push_image(const store::PredictionView& training,
                                                       std::uint32_t attempt,
                                                       const std::string& weights_url) const {
  const std::string& repository = training.destination;
  auto base = read_base(training.version);
  MIMEO_RETURN_IF_ERROR(with_context(base.status(), "reading the image it was trained from"));
  MIMEO_ASSIGN_OR_RETURN(const oci::ImageConfig base_config, oci::parse_config(base->config));
  TrainedImage trained;
  trained.training = training.id;
  trained.attempt = attempt;
  trained.base_version = training.version.hex();
  trained.place = weights_place(base_config);
  MIMEO_ASSIGN_OR_RETURN(auto layer, layer_of(trained.place.path, weights_url, training.id));
  trained.layer_bytes = layer.size_bytes();
  for (const oci::Descriptor& below : base->image.layers) {
    MIMEO_RETURN_IF_ERROR(writer_.mount_blob(repository, base->version.repository, below.digest));
  }
  MIMEO_ASSIGN_OR_RETURN(trained.layer_digest, writer_.put_layer(repository, std::move(layer)));
  MIMEO_ASSIGN_OR_RETURN(const std::string config, trained_config(base->config, trained));
  MIMEO_RETURN_IF_ERROR(writer_.put_blob(repository, config));
  const std::string manifest = trained_manifest(base->image, config, trained);
  MIMEO_ASSIGN_OR_RETURN(const std::string digest,
                         writer_.put_manifest(repository, trained_tag(training.id, attempt),
                                              base->image.media_type, manifest));
  MIMEO_ASSIGN_OR_RETURN(const oci::ImageConfig own_config, oci::parse_config(config));
  MIMEO_ASSIGN_OR_RETURN(const ModelImage model, read_model_image(own_config));
  MIMEO_ASSIGN_OR_RETURN(const oci::Document document,
                         oci::parse_document(base->image.media_type, manifest));
  store::Version version;
  MIMEO_ASSIGN_OR_RETURN(version.id, VersionId::parse(digest.substr(digest.find(':') + 1)));
  version.repository = repository;
  version.image_digest = digest;
  version.image_bytes = image_bytes(std::get<oci::ImageManifest>(document));
  version.cog_version = model.cog_version;
  version.openapi_schema = model.openapi_schema;
  version.config = model.config;
  version.needs_gpu = model.needs_gpu;
  version.concurrency = model.concurrency;
  return version;
}

Result<TrainedVersion> TrainedVersionMaker::make(const store::PredictionView& training,
                                                 std::uint32_t attempt, const std::string& output) {
  MIMEO_ASSIGN_OR_RETURN(const store::Model destination, find_destination(training));
  const std::optional<std::string> weights = find_weights(output);
  if (!weights) {
    return absl::InvalidArgumentError(
        "the trainer returned no weights; it must return a file, or an object whose `weights` is "
        "a file");
  }
  MIMEO_ASSIGN_OR_RETURN(const store::Account owner, parts_.catalog.get_account(training.account));
  TrainedVersion made;
  MIMEO_ASSIGN_OR_RETURN(made.version, push_image(training, attempt, *weights));
  made.version.model = destination.id;
  made.version.pushed_by = owner.username;
  made.version.created_at = parts_.clock.now();
  made.output = output_of(output, training.destination + ":" + made.version.id.hex(), *weights);
  return made;
}

}  // namespace mimeo::control
