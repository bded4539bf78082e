#include "scheduler/core/types.h"

#include <algorithm>

namespace mimeo::scheduler {

TargetConfig to_config(const store::RunnableTarget& runnable) {
  TargetConfig config;
  config.id = runnable.target.id;
  config.kind = runnable.target.kind;
  config.deployment = runnable.target.deployment;
  config.owner = runnable.owner;
  config.sku = runnable.target.sku;
  config.resources = runnable.hardware.resources;
  config.min_instances = std::max(0, runnable.target.min_instances);
  config.max_instances = std::max(config.min_instances, runnable.target.max_instances);
  config.config_seq = runnable.target.config_seq;
  const bool is_training = config.kind == store::TargetKind::kTraining;
  for (const store::RunnableRelease& release : runnable.releases) {
    const std::int32_t slots = is_training ? 1 : release.version.concurrency;  // One at a time.
    config.releases.push_back({.number = release.number,
                               .state = release.state,
                               .version = release.version.id,
                               .image_bytes = release.version.image_bytes,
                               .concurrency = static_cast<std::uint32_t>(std::max(1, slots))});
  }
  return config;
}

}  // namespace mimeo::scheduler
