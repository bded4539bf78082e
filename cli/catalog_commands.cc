// mimeo hardware, mimeo model, mimeo version.

#include <absl/strings/str_cat.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/accounts.h"
#include "common/base/time_format.h"
#include "common/domain/names.h"

namespace mimeo::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kMebibyte = 1ULL << 20;

// Unset: as it is, or zero for a new one.
struct HardwareOptions {
  std::string sku;
  std::optional<std::string> name;
  std::optional<std::uint32_t> cpu_milli;
  std::optional<std::uint64_t> memory_mb;
  std::optional<std::uint32_t> gpus;
  std::optional<std::uint64_t> gpu_memory_mb;
  std::optional<std::uint64_t> scratch_mb;
  std::optional<std::int64_t> price_micros;
  std::optional<std::int32_t> position;
};

Status set_hardware(CommandLine& line, const HardwareOptions& options) {
  MIMEO_RETURN_IF_ERROR(check_name(options.sku));
  const std::int64_t price = options.price_micros.value_or(0);
  if (price < 0 || price > kHighestPrice) {
    return absl::InvalidArgumentError(
        absl::StrCat("--price-micros must be from 0 to ", kHighestPrice));
  }
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const auto existing, stores.catalog.list_hardware());
  Hardware hardware;
  hardware.sku = options.sku;
  hardware.name = options.sku;
  auto position = static_cast<std::int32_t>(existing.size());
  for (std::size_t i = 0; i < existing.size(); ++i) {
    if (existing[i].sku != options.sku) continue;
    hardware = existing[i];
    position = static_cast<std::int32_t>(i);
  }
  Resources& resources = hardware.resources;
  hardware.name = options.name.value_or(hardware.name);
  resources.cpu_milli = options.cpu_milli.value_or(resources.cpu_milli);
  resources.gpus = options.gpus.value_or(resources.gpus);
  if (options.memory_mb.has_value()) resources.memory.count = *options.memory_mb * kMebibyte;
  if (options.gpu_memory_mb.has_value()) {
    resources.gpu_memory.count = *options.gpu_memory_mb * kMebibyte;
  }
  if (options.scratch_mb.has_value()) resources.scratch.count = *options.scratch_mb * kMebibyte;
  hardware.price_micros_per_second =
      options.price_micros.value_or(hardware.price_micros_per_second);
  MIMEO_RETURN_IF_ERROR(stores.catalog.put_hardware(hardware, options.position.value_or(position)));
  return log_change(line, stores, "hardware.set", 0, hardware.sku, Json::object());
}

Result<Json> list_hardware(CommandLine& line) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const auto all, stores.catalog.list_hardware());
  Json rows = Json::array();
  for (const Hardware& h : all) {
    rows.push_back({{"sku", h.sku},
                    {"name", h.name},
                    {"cpu_milli", h.resources.cpu_milli},
                    {"memory_mb", h.resources.memory.count / kMebibyte},
                    {"gpus", h.resources.gpus},
                    {"gpu_memory_mb", h.resources.gpu_memory.count / kMebibyte},
                    {"scratch_mb", h.resources.scratch.count / kMebibyte},
                    {"price_micros", h.price_micros_per_second}});
  }
  return rows;
}

Result<Json> list_models(CommandLine& line) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  store::ModelFilter filter;
  filter.include_private = true;
  filter.sort = store::ModelSort::kCreated;
  filter.limit = 500;
  Json rows = Json::array();
  while (true) {
    MIMEO_ASSIGN_OR_RETURN(const auto page, stores.catalog.list_models(filter));
    for (const store::Model& m : page) {
      rows.push_back(
          {{"model", absl::StrCat(m.owner, "/", m.name)},
           {"visibility", m.visibility == store::Visibility::kPublic ? "public" : "private"},
           {"hardware", m.sku},
           {"runs", m.run_count},
           {"latest_version", m.latest_version ? Json(m.latest_version->hex()) : Json()},
           {"created_at", to_rfc3339(m.created_at)}});
    }
    if (page.size() < filter.limit) return rows;
    filter.after = {page.back().created_at, page.back().id};
  }
}

Result<Json> list_versions(CommandLine& line, const std::string& model_name) {
  MIMEO_ASSIGN_OR_RETURN(const auto parts, split_model_name(model_name));
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  const auto model = stores.catalog.get_model(parts.first, parts.second, 0);
  if (absl::IsNotFound(model.status())) {
    return absl::NotFoundError(
        absl::StrCat("there is no model `", model_name, "`: see `mimeo model list`"));
  }
  MIMEO_RETURN_IF_ERROR(model.status());
  MIMEO_ASSIGN_OR_RETURN(const auto refusal, stores.catalog.find_refusal(model->id));
  if (refusal.has_value()) {
    line.surroundings().error << "the push of " << to_rfc3339(refusal->created_at)
                              << " was refused: " << refusal->refusal << "\n";
  }
  MIMEO_ASSIGN_OR_RETURN(const auto versions,
                         stores.catalog.list_versions(model->id, std::nullopt, 1000));
  Json rows = Json::array();
  for (const store::Version& v : versions) {
    rows.push_back({{"version", v.id.hex()},
                    {"created_at", to_rfc3339(v.created_at)},
                    {"cog", v.cog_version},
                    {"image_mb", v.image_bytes / static_cast<std::int64_t>(kMebibyte)},
                    {"gpu", v.needs_gpu},
                    {"concurrency", v.concurrency},
                    {"pushed_by", v.pushed_by}});
  }
  return rows;
}

Result<Json> list_prices(CommandLine& line, const std::string& sku) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const auto prices, stores.usage.list_prices(sku));
  if (prices.empty()) {
    return absl::NotFoundError(
        absl::StrCat("there is no hardware `", sku, "`: see `mimeo hardware list`"));
  }
  Json rows = Json::array();
  for (const store::Price& price : prices) {
    rows.push_back({{"since", price.since ? Json(to_rfc3339(*price.since)) : Json()},
                    {"price_micros", price.micros_per_second}});
  }
  return rows;
}

void add_hardware_commands(CLI::App& app, CommandLine& line) {
  auto* group = app.add_subcommand("hardware", "Classes of machine share that can be asked for");
  group->require_subcommand(1);
  auto* set = group->add_subcommand("set", "Make or change one; what is not given stays");
  const auto o = std::make_shared<HardwareOptions>();
  set->add_option("sku", o->sku, "The word that users write: cpu, gpu-t4")->required();
  set->add_option("--name", o->name, "Shown to people");
  set->add_option("--cpu-milli", o->cpu_milli, "1000 = one core; 0 = no limit");
  set->add_option("--memory-mb", o->memory_mb, "0 = no limit");
  set->add_option("--gpus", o->gpus, "Whole devices");
  set->add_option("--gpu-memory-mb", o->gpu_memory_mb, "Needed on each device");
  set->add_option("--scratch-mb", o->scratch_mb, "Size of /tmp in the container");
  set->add_option("--price-micros", o->price_micros,
                  "Price of a second in millionths of your currency, for what begins from now on");
  set->add_option("--position", o->position, "Order in listings");
  line.on(*set, [&line, o] { return set_hardware(line, *o); });
  line.on_list(*group->add_subcommand("list", "All of them, in order"),
               [&line] { return list_hardware(line); });
  auto* prices = group->add_subcommand("prices", "What one cost since when, newest first");
  const auto sku = std::make_shared<std::string>();
  prices->add_option("sku", *sku, "As in `mimeo hardware list`")->required();
  line.on_list(*prices, [&line, sku] { return list_prices(line, *sku); });
}

}  // namespace

void add_catalog_commands(CLI::App& app, CommandLine& line) {
  add_hardware_commands(app, line);
  auto* models = app.add_subcommand("model", "Models");
  models->require_subcommand(1);
  line.on_list(*models->add_subcommand("list", "All models, newest first"),
               [&line] { return list_models(line); });
  auto* versions = app.add_subcommand("version", "Versions");
  versions->require_subcommand(1);
  auto* list = versions->add_subcommand("list", "The versions of a model, newest first");
  const auto model = std::make_shared<std::string>();
  list->add_option("model", *model, "owner/name")->required();
  line.on_list(*list, [&line, model] { return list_versions(line, *model); });
}

}  // namespace mimeo::cli
