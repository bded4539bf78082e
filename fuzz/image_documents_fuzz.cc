// What is read of pushed images: the registry's notifications, manifests, indexes, configs and
// labels.

#include "common/oci/manifest.h"
#include "control-plane/registry/image_reading.h"
#include "control-plane/registry/push_events.h"
#include "control-plane/validation/input_validator.h"
#include "fuzz/fuzz.h"

using namespace mimeo;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::Input(data, size).rest();
  if (const auto pushes = control::parse_push_events(text); pushes.ok()) {
    for (const control::Push& push : *pushes) (void)control::can_make_version(push.tag);
  }
  for (const std::string_view type : {oci::kOciManifest, oci::kOciIndex}) {
    const auto document = oci::parse_document(type, text);
    if (!document.ok()) continue;
    if (const auto* index = std::get_if<oci::ImageIndex>(&*document)) (void)oci::choose(*index);
  }
  const auto config = oci::parse_config(text);
  if (!config.ok()) return 0;
  const auto image = control::read_model_image(*config);
  if (!image.ok()) return 0;
  MIMEO_FUZZ_CLAIM(!image->cog_version.empty() && image->concurrency >= 1);
  MIMEO_FUZZ_CLAIM(control::VersionSchema::compile(image->openapi_schema).ok());
  return 0;
}
