// mimeo collection, mimeo model set-official, mimeo account limits.

#include <absl/strings/str_cat.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "cli/accounts.h"
#include "common/domain/names.h"

namespace mimeo::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kPage = 500;
constexpr std::size_t kLongestText = 1U << 20;

Status no_collection(const std::string& slug) {
  return absl::NotFoundError(
      absl::StrCat("there is no collection `", slug, "`: see `mimeo collection list`"));
}

Result<store::Model> find_model(const Stores& stores, const std::string& name) {
  MIMEO_ASSIGN_OR_RETURN(const auto parts, split_model_name(name));
  auto model = stores.catalog.get_model(parts.first, parts.second, 0);
  if (absl::IsNotFound(model.status())) {
    return absl::NotFoundError(
        absl::StrCat("there is no model `", name, "`: see `mimeo model list`"));
  }
  return model;
}

// Markdown from a file; unset without one.
Result<std::optional<std::string>> read_text(const std::string& file) {
  if (file.empty()) return std::nullopt;
  std::ifstream in(file, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat("cannot read ", file));
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (text.size() > kLongestText) {
    return absl::InvalidArgumentError(absl::StrCat(file, " is longer than 1 MiB"));
  }
  return std::optional<std::string>(std::move(text));
}

struct CollectionOptions {
  std::string slug;
  std::optional<std::string> name;
  std::optional<std::string> description;
  std::string file;  // Of the full description.
  std::string model;
  std::optional<std::int32_t> position;
};

Status create_collection(CommandLine& line, const CollectionOptions& options) {
  MIMEO_RETURN_IF_ERROR(check_name(options.slug));
  MIMEO_ASSIGN_OR_RETURN(const auto text, read_text(options.file));
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  store::Collection collection;
  collection.slug = options.slug;
  collection.name = options.name.value_or(options.slug);
  collection.description = options.description.value_or("");
  collection.full_description = text.value_or("");
  collection.created_at = line.surroundings().clock.now();
  const auto made = stores.discovery.create_collection(collection);
  if (absl::IsAlreadyExists(made.status())) {
    return absl::AlreadyExistsError(
        absl::StrCat("the collection `", options.slug, "` exists already"));
  }
  MIMEO_RETURN_IF_ERROR(made.status());
  return log_change(line, stores, "collection.create", 0, options.slug, Json::object());
}

Status update_collection(CommandLine& line, const CollectionOptions& options) {
  store::CollectionChange change;
  change.name = options.name;
  change.description = options.description;
  MIMEO_ASSIGN_OR_RETURN(change.full_description, read_text(options.file));
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  const Status changed = stores.discovery.update_collection(options.slug, change);
  if (absl::IsNotFound(changed)) return no_collection(options.slug);
  MIMEO_RETURN_IF_ERROR(changed);
  Json fields = Json::array();
  if (change.name) fields.push_back("name");
  if (change.description) fields.push_back("description");
  if (change.full_description) fields.push_back("full_description");
  return log_change(line, stores, "collection.update", 0, options.slug, {{"fields", fields}});
}

Status delete_collection(CommandLine& line, const std::string& slug) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  const Status deleted = stores.discovery.delete_collection(slug);
  if (absl::IsNotFound(deleted)) return no_collection(slug);
  MIMEO_RETURN_IF_ERROR(deleted);
  return log_change(line, stores, "collection.delete", 0, slug, Json::object());
}

Status add_to_collection(CommandLine& line, const CollectionOptions& options) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const store::Model model, find_model(stores, options.model));
  std::optional<std::int32_t> place;
  if (options.position.has_value()) place = *options.position - 1;
  const Status added = stores.discovery.add_to_collection(options.slug, model.id, place);
  if (absl::IsNotFound(added)) return no_collection(options.slug);
  MIMEO_RETURN_IF_ERROR(added);
  return log_change(line, stores, "collection.add", 0, options.slug, {{"model", options.model}});
}

Status remove_from_collection(CommandLine& line, const CollectionOptions& options) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const store::Model model, find_model(stores, options.model));
  const Status removed = stores.discovery.remove_from_collection(options.slug, model.id);
  if (absl::IsNotFound(removed)) {
    return absl::NotFoundError(absl::StrCat("the model `", options.model,
                                            "` is not in the collection `", options.slug, "`"));
  }
  MIMEO_RETURN_IF_ERROR(removed);
  return log_change(line, stores, "collection.remove", 0, options.slug, {{"model", options.model}});
}

// The public ones; a private model is in it for its owner alone.
Result<std::string> members_of(const Stores& stores, const store::Collection& collection) {
  std::string names;
  MIMEO_ASSIGN_OR_RETURN(const auto models,
                         stores.discovery.list_collection_models(collection.id, 0));
  for (const store::Model& model : models) {
    absl::StrAppend(&names, names.empty() ? "" : " ", model.owner, "/", model.name);
  }
  return names;
}

Result<Json> list_collections(CommandLine& line) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  Json rows = Json::array();
  std::string after;
  while (true) {
    MIMEO_ASSIGN_OR_RETURN(const auto page, stores.discovery.list_collections(after, false, kPage));
    for (const store::Collection& collection : page) {
      MIMEO_ASSIGN_OR_RETURN(const std::string members, members_of(stores, collection));
      rows.push_back({{"slug", collection.slug},
                      {"name", collection.name},
                      {"description", collection.description},
                      {"public_models", members}});
    }
    if (page.size() < kPage) return rows;
    after = page.back().slug;
  }
}

Status set_official(CommandLine& line, const std::string& name, bool is_official) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const store::Model model, find_model(stores, name));
  MIMEO_RETURN_IF_ERROR(stores.discovery.set_official(model.id, is_official));
  return log_change(line, stores, "model.set-official", model.owner_id, name,
                    {{"is_official", is_official}});
}

// Each unset: as it is. -1: as for every account.
struct LimitOptions {
  std::string account;
  std::optional<std::int64_t> create, burst, read, other;
  bool is_reset = false;
};

void apply(const std::optional<std::int64_t>& given, std::optional<std::int64_t>& limit) {
  if (!given.has_value()) return;
  limit = *given < 0 ? std::nullopt : given;
}

Json shown(const store::AccountLimits& limits) {
  const auto or_null = [](const std::optional<std::int64_t>& limit) {
    return limit.has_value() ? Json(*limit) : Json();
  };
  return {{"create_per_minute", or_null(limits.create_per_minute)},
          {"create_burst", or_null(limits.create_burst)},
          {"read_per_minute", or_null(limits.read_per_minute)},
          {"other_per_minute", or_null(limits.other_per_minute)}};
}

Result<Json> account_limits(CommandLine& line, const LimitOptions& options) {
  MIMEO_ASSIGN_OR_RETURN(const Stores stores, line.stores());
  MIMEO_ASSIGN_OR_RETURN(const store::Account account, find_account(stores, options.account));
  MIMEO_ASSIGN_OR_RETURN(const auto before, stores.limits.get_account_limits(account.id));
  store::AccountLimits limits = before;
  if (options.is_reset) {
    limits = {};
    limits.account = account.id;
  }
  apply(options.create, limits.create_per_minute);
  apply(options.burst, limits.create_burst);
  apply(options.read, limits.read_per_minute);
  apply(options.other, limits.other_per_minute);
  if (limits != before) {
    MIMEO_RETURN_IF_ERROR(stores.limits.put_account_limits(limits));
    MIMEO_RETURN_IF_ERROR(
        log_change(line, stores, "limits.set", account.id, account.username, shown(limits)));
  }
  Json row = {{"account", account.username}};
  row.update(shown(limits));
  return Json::array({row});
}

void add_collection_texts(CLI::App& command, CollectionOptions& options) {
  command.add_option("slug", options.slug, "Its name in URLs: text-to-image")->required();
  command.add_option("--name", options.name, "Shown to people");
  command.add_option("--description", options.description, "One sentence");
  command.add_option("--full-description", options.file, "A file of Markdown");
}

void add_collection_commands(CLI::App& app, CommandLine& line) {
  auto* group = app.add_subcommand("collection", "Choices of models that everybody sees");
  group->require_subcommand(1);
  const auto o = std::make_shared<CollectionOptions>();
  auto* create = group->add_subcommand("create", "Make an empty one");
  add_collection_texts(*create, *o);
  line.on(*create, [&line, o] { return create_collection(line, *o); });
  auto* update = group->add_subcommand("update", "Change its texts; what is not given stays");
  add_collection_texts(*update, *o);
  line.on(*update, [&line, o] { return update_collection(line, *o); });
  auto* remove = group->add_subcommand("delete", "Remove it; its models stay");
  remove->add_option("slug", o->slug, "Its name in URLs")->required();
  line.on(*remove, [&line, o] { return delete_collection(line, o->slug); });
  auto* add = group->add_subcommand("add", "Put a model into it, or elsewhere in it");
  add->add_option("slug", o->slug, "Its name in URLs")->required();
  add->add_option("model", o->model, "owner/name")->required();
  add->add_option("--position", o->position, "1 = first; by default at the end")
      ->check(CLI::Range(1, 1'000'000));
  line.on(*add, [&line, o] { return add_to_collection(line, *o); });
  auto* take = group->add_subcommand("remove", "Take a model out of it");
  take->add_option("slug", o->slug, "Its name in URLs")->required();
  take->add_option("model", o->model, "owner/name")->required();
  line.on(*take, [&line, o] { return remove_from_collection(line, *o); });
  line.on_list(*group->add_subcommand("list", "All of them, with their public models in order"),
               [&line] { return list_collections(line); });
}

}  // namespace

void add_discovery_commands(CLI::App& app, CommandLine& line) {
  add_collection_commands(app, line);

  auto* official = app.get_subcommand("model")->add_subcommand(
      "set-official", "Let a model be an official one, whose versions are not shown");
  const auto name = std::make_shared<std::string>();
  const auto is_off = std::make_shared<bool>(false);
  official->add_option("model", *name, "owner/name")->required();
  official->add_flag("--off", *is_off, "No longer");
  line.on(*official, [&line, name, is_off] { return set_official(line, *name, !*is_off); });

  auto* limits = app.get_subcommand("account")->add_subcommand(
      "limits", "Show, or set, how many calls a minute an account may make");
  const auto o = std::make_shared<LimitOptions>();
  const char* const meaning = "0 = no limit, -1 = as for every account";
  limits->add_option("account", o->account, "Username")->required();
  limits->add_option("--create", o->create, absl::StrCat("New predictions; ", meaning));
  limits->add_option("--create-burst", o->burst, "Of these at once; -1 = as many as in a minute");
  limits->add_option("--read", o->read, absl::StrCat("Reads of single predictions; ", meaning));
  limits->add_option("--other", o->other, absl::StrCat("Other calls; ", meaning));
  limits->add_flag("--reset", o->is_reset, "First set all of them back");
  line.on_list(*limits, [&line, o] { return account_limits(line, *o); });
}

}  // namespace mimeo::cli
