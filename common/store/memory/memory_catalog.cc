// The part of MemoryStore for accounts, tokens, hardware, models and versions.

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "common/store/memory/memory_store.h"

namespace mimeo::store {
namespace {

Status no_such(std::string_view what) {
  return absl::NotFoundError(absl::StrCat("no such ", absl::string_view(what.data(), what.size())));
}

// Position in a listing.
using ModelKey = std::pair<WallTime, ModelId>;

ModelKey key_of(const Model& model, ModelSort sort) {
  if (sort == ModelSort::kLatestVersion && model.latest_version_at.has_value()) {
    return {*model.latest_version_at, model.id};
  }
  return {model.created_at, model.id};
}

}  // namespace

Result<Account> MemoryStore::create_account(const Account& account) {
  const std::scoped_lock lock(mutex_);
  return insert_account(account);
}

Result<Account> MemoryStore::get_account(AccountId id) {
  const std::scoped_lock lock(mutex_);
  const auto found = accounts_.find(id);
  if (found == accounts_.end()) return no_such("account");
  return found->second;
}

Result<Account> MemoryStore::get_account_by_username(std::string_view username) {
  const std::scoped_lock lock(mutex_);
  for (const auto& [id, account] : accounts_) {
    if (account.username == username) return account;
  }
  return no_such("account");
}

Result<std::vector<Account>> MemoryStore::list_accounts() {
  const std::scoped_lock lock(mutex_);
  std::vector<Account> all;
  for (const auto& [id, account] : accounts_) all.push_back(account);
  std::sort(all.begin(), all.end(),
            [](const Account& a, const Account& b) { return a.username < b.username; });
  return all;
}

Result<Token> MemoryStore::create_token(const Token& token) {
  const std::scoped_lock lock(mutex_);
  return insert_token(token);
}

Result<TokenOwner> MemoryStore::get_token_owner(std::string_view hash) {
  const std::scoped_lock lock(mutex_);
  for (const auto& [id, token] : tokens_) {
    if (token.hash != hash) continue;
    TokenOwner owner;
    owner.token = shown(token);
    owner.account = accounts_.at(token.account);
    if (token.created_by == 0) return owner;
    const auto member = members_.find({token.account, token.created_by});
    if (member != members_.end()) owner.creator_role = member->second.role;
    owner.is_creator_disabled = accounts_.at(token.created_by).disabled_at.has_value();
    return owner;
  }
  return no_such("token");
}

Result<std::vector<Token>> MemoryStore::list_tokens(AccountId account) {
  const std::scoped_lock lock(mutex_);
  std::vector<Token> tokens;
  for (const auto& [id, token] : tokens_) {
    if (token.account == account) tokens.push_back(shown(token));
  }
  return tokens;
}

Status MemoryStore::touch_token(std::int64_t token_id, WallTime now) {
  const std::scoped_lock lock(mutex_);
  const auto found = tokens_.find(token_id);
  if (found == tokens_.end()) return absl::OkStatus();
  auto& last = found->second.last_used_at;
  if (!last.has_value() || *last + std::chrono::minutes{1} <= now) last = now;
  return absl::OkStatus();
}

Result<std::vector<Hardware>> MemoryStore::list_hardware() {
  const std::scoped_lock lock(mutex_);
  std::vector<Hardware> all;
  for (const auto& [position, hardware] : hardware_) all.push_back(hardware);
  return all;
}

Status MemoryStore::put_hardware(const Hardware& hardware, std::int32_t position) {
  const std::int64_t price = hardware.price_micros_per_second;
  if (price < 0 || price > kHighestPrice) return absl::InvalidArgumentError("no price");
  const std::scoped_lock lock(mutex_);
  std::erase_if(hardware_, [&](const auto& entry) { return entry.second.sku == hardware.sku; });
  hardware_.emplace_back(position, hardware);
  auto& prices = prices_[hardware.sku];
  if (prices.empty()) {
    prices[WallTime::min()] = hardware.price_micros_per_second;
  } else if (prices.rbegin()->second != hardware.price_micros_per_second) {
    prices[clock_.now()] = hardware.price_micros_per_second;
  }
  std::sort(hardware_.begin(), hardware_.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first, a.second.sku) < std::tie(b.first, b.second.sku);
  });
  for (const auto& [id, target] : targets_) {
    if (target.sku == hardware.sku) touch_target(id);
  }
  return absl::OkStatus();
}

Model MemoryStore::shown(const ModelRecord& record) const {
  Model model = record.model;
  const auto count = run_counts_.find(model.id);
  model.run_count = count == run_counts_.end() ? 0 : count->second;
  return model;
}

Model MemoryStore::listed(const ModelRecord& record) const {
  Model model = shown(record);
  model.readme.clear();
  return model;
}

const MemoryStore::ModelRecord* MemoryStore::find_model(std::string_view owner,
                                                        std::string_view name) const {
  for (const auto& [id, record] : models_) {
    if (!record.is_deleted && record.model.owner == owner && record.model.name == name) {
      return &record;
    }
  }
  return nullptr;
}

Result<Model> MemoryStore::create_model(const Model& model) {
  const std::scoped_lock lock(mutex_);
  const auto owner = accounts_.find(model.owner_id);
  if (owner == accounts_.end()) return no_such("account");
  if (find_model(owner->second.username, model.name) != nullptr) {
    return absl::AlreadyExistsError("a model of this name exists");
  }
  ModelRecord record{.model = model};
  record.model.id = ++last_id_;
  record.model.owner = owner->second.username;
  record.model.run_count = 0;
  record.model.latest_version.reset();
  record.model.latest_version_at.reset();
  models_.emplace(record.model.id, record);
  return record.model;
}

Result<Model> MemoryStore::get_model(std::string_view owner, std::string_view name,
                                     AccountId viewer) {
  const std::scoped_lock lock(mutex_);
  const ModelRecord* found = find_model(owner, name);
  if (found == nullptr || (found->model.visibility == Visibility::kPrivate && viewer != 0 &&
                           viewer != found->model.owner_id)) {
    return no_such("model");
  }
  return shown(*found);
}

Result<Model> MemoryStore::get_model_by_id(ModelId id) {
  const std::scoped_lock lock(mutex_);
  const auto found = models_.find(id);
  if (found == models_.end() || found->second.is_deleted) return no_such("model");
  return shown(found->second);
}

bool MemoryStore::is_visible(const Model& model, const ModelFilter& filter) const {
  if (model.visibility == Visibility::kPublic) return true;
  return filter.include_private && (filter.viewer == 0 || model.owner_id == filter.viewer);
}

Result<std::vector<Model>> MemoryStore::list_models(const ModelFilter& filter) {
  const std::scoped_lock lock(mutex_);
  const bool descending = filter.direction == SortDirection::kDescending;
  const auto is_before = [&](const ModelKey& a, const ModelKey& b) {
    return descending ? a > b : a < b;
  };
  std::vector<Model> page;
  for (const auto& [id, record] : models_) {
    const Model& model = record.model;
    if (record.is_deleted || !is_visible(model, filter)) continue;
    if (filter.after.has_value() && !is_before(*filter.after, key_of(model, filter.sort))) continue;
    page.push_back(listed(record));
  }
  std::sort(page.begin(), page.end(), [&](const Model& a, const Model& b) {
    return is_before(key_of(a, filter.sort), key_of(b, filter.sort));
  });
  if (page.size() > filter.limit) page.resize(filter.limit);
  return page;
}

Result<Model> MemoryStore::update_model(ModelId id, const ModelChange& change) {
  const std::scoped_lock lock(mutex_);
  const auto found = models_.find(id);
  if (found == models_.end() || found->second.is_deleted) return no_such("model");
  Model& model = found->second.model;
  const auto set = [](std::string& field, const std::optional<std::string>& value) {
    if (value.has_value()) field = *value;
  };
  set(model.description, change.description);
  set(model.readme, change.readme);
  set(model.github_url, change.github_url);
  set(model.paper_url, change.paper_url);
  set(model.weights_url, change.weights_url);
  set(model.license_url, change.license_url);
  set(model.cover_image_url, change.cover_image_url);
  set(model.sku, change.sku);
  if (change.visibility.has_value()) model.visibility = *change.visibility;
  if (change.default_example.has_value()) model.default_example = change.default_example;
  return shown(found->second);
}

Status MemoryStore::delete_model(ModelId id) {
  const std::scoped_lock lock(mutex_);
  const auto found = models_.find(id);
  if (found == models_.end() || found->second.is_deleted) return no_such("model");
  if (found->second.model.visibility == Visibility::kPublic) {
    return absl::FailedPreconditionError("a public model cannot be deleted");
  }
  for (const auto& [version_id, version] : versions_) {
    if (version.model == id && version.state == VersionState::kReady) {
      return absl::FailedPreconditionError("the model has versions: delete them first");
    }
  }
  found->second.is_deleted = true;
  return absl::OkStatus();
}

void MemoryStore::refresh_latest(ModelId id) {
  const auto found = models_.find(id);
  if (found == models_.end()) return;
  const Version* latest = nullptr;
  for (const auto& [version_id, version] : versions_) {
    if (version.model != id || version.state != VersionState::kReady) continue;
    if (latest == nullptr ||
        std::tie(version.created_at, version.id) > std::tie(latest->created_at, latest->id)) {
      latest = &version;
    }
  }
  Model& model = found->second.model;
  model.latest_version.reset();
  model.latest_version_at.reset();
  if (latest != nullptr) {
    model.latest_version = latest->id;
    model.latest_version_at = latest->created_at;
  }
}

Result<Version> MemoryStore::put_version(const Version& version) {
  const std::scoped_lock lock(mutex_);
  return put_version_locked(version);
}

Result<Version> MemoryStore::put_version_locked(const Version& version) {
  const auto model = models_.find(version.model);
  if (model == models_.end() || model->second.is_deleted) return no_such("model");
  const auto found = versions_.find(version.id);
  if (found != versions_.end() && found->second.state == VersionState::kReady) {
    return found->second;
  }
  if (found != versions_.end() && found->second.state == version.state) return found->second;
  versions_[version.id] = version;
  refresh_latest(version.model);
  touch_targets_of(version.id);
  return version;
}

Result<Version> MemoryStore::get_version(VersionId id, AccountId viewer) {
  const std::scoped_lock lock(mutex_);
  const auto found = versions_.find(id);
  if (found == versions_.end()) return no_such("version");
  const Model& model = models_.at(found->second.model).model;
  if (model.visibility == Visibility::kPrivate && viewer != 0 && viewer != model.owner_id) {
    return no_such("version");
  }
  return found->second;
}

Result<std::vector<Version>> MemoryStore::list_versions(ModelId model,
                                                        std::optional<WallTime> before,
                                                        std::size_t limit) {
  const std::scoped_lock lock(mutex_);
  std::vector<Version> page;
  for (const auto& [id, version] : versions_) {
    if (version.model == model && version.state == VersionState::kReady &&
        (!before.has_value() || version.created_at < *before)) {
      page.push_back(version);
    }
  }
  std::sort(page.begin(), page.end(), [](const Version& a, const Version& b) {
    return std::tie(a.created_at, a.id) > std::tie(b.created_at, b.id);
  });
  if (page.size() > limit) page.resize(limit);
  return page;
}

Result<std::optional<Version>> MemoryStore::find_refusal(ModelId model) {
  const std::scoped_lock lock(mutex_);
  std::optional<Version> newest;
  for (const auto& [id, version] : versions_) {
    if (version.model != model || version.state != VersionState::kRefused) continue;
    if (!newest.has_value() || version.created_at > newest->created_at) newest = version;
  }
  const auto found = models_.find(model);
  if (newest.has_value() && found != models_.end() &&
      found->second.model.latest_version_at >= newest->created_at) {
    newest.reset();
  }
  return newest;
}

Status MemoryStore::delete_version(VersionId id) {
  const std::scoped_lock lock(mutex_);
  const auto found = versions_.find(id);
  if (found == versions_.end() || found->second.state == VersionState::kDeleted) {
    return no_such("version");
  }
  for (const auto& [deployment_id, record] : deployments_) {
    if (!record.is_deleted && record.releases.back().version == id) {
      return absl::FailedPreconditionError(absl::StrCat("deployment ", record.deployment.owner, "/",
                                                        record.deployment.name,
                                                        " uses this version"));
    }
  }
  found->second.state = VersionState::kDeleted;
  refresh_latest(found->second.model);
  touch_targets_of(id);
  return absl::OkStatus();
}

}  // namespace mimeo::store
