#include "common/store/postgres/catalog_rows.h"

namespace mimeo::store {

Account read_account(RowReader& reader) {
  Account account;
  account.id = reader.integer();
  account.type = reader.integer_as<AccountType>();
  account.username = reader.text();
  account.name = reader.text();
  account.github_url = reader.text();
  account.avatar_url = reader.text();
  account.weight = reader.real();
  account.max_running = reader.integer_as<std::int32_t>();
  account.max_queued = reader.integer_as<std::int32_t>();
  account.webhook_secret = reader.text();
  account.file_secret = reader.text();
  account.created_by = reader.integer();
  account.created_at = reader.time();
  account.disabled_at = reader.maybe_time();
  return account;
}

Token read_token(RowReader& reader) {
  Token token;
  token.id = reader.integer();
  token.account = reader.integer();
  token.name = reader.text();
  token.hash = reader.bytes();
  token.prefix = reader.text();
  token.created_at = reader.time();
  token.expires_at = reader.maybe_time();
  token.disabled_at = reader.maybe_time();
  token.last_used_at = reader.maybe_time();
  token.scopes = scopes_of_text(reader.text());
  token.created_by = reader.integer();
  token.creator = reader.text();
  return token;
}

Model read_model(RowReader& reader) {
  Model model;
  model.id = reader.integer();
  model.owner_id = reader.integer();
  model.owner = reader.text();
  model.name = reader.text();
  model.visibility = reader.integer_as<Visibility>();
  model.description = reader.text();
  model.sku = reader.text();
  model.github_url = reader.text();
  model.paper_url = reader.text();
  model.license_url = reader.text();
  model.weights_url = reader.text();
  model.cover_image_url = reader.text();
  model.readme = reader.text();
  model.run_count = reader.integer();
  if (const Uuid example = reader.uuid(); !example.is_nil()) model.default_example = example;
  model.latest_version = reader.maybe_version();
  model.created_at = reader.time();
  model.latest_version_at = reader.maybe_time();
  return model;
}

Version read_version(RowReader& reader) {
  Version version;
  version.id = reader.version();
  version.model = reader.integer();
  version.state = reader.integer_as<VersionState>();
  version.refusal = reader.text();
  version.repository = reader.text();
  version.image_digest = reader.text();
  version.image_bytes = reader.integer();
  version.cog_version = reader.text();
  version.openapi_schema = reader.text();
  version.config = reader.text();
  version.needs_gpu = reader.boolean();
  version.concurrency = reader.integer_as<std::int32_t>();
  version.pushed_by = reader.text();
  version.created_at = reader.time();
  return version;
}

Target read_target(RowReader& reader) {
  Target target;
  target.id = reader.integer();
  target.kind = reader.integer_as<TargetKind>();
  target.deployment = reader.maybe_integer();
  target.version = reader.maybe_version();
  target.sku = reader.text();
  target.cell = reader.integer_as<CellId>();
  target.min_instances = reader.integer_as<std::int32_t>();
  target.max_instances = reader.integer_as<std::int32_t>();
  target.config_seq = reader.integer();
  return target;
}

Deployment read_deployment(RowReader& reader) {
  Deployment d;
  d.id = reader.integer();
  d.owner_id = reader.integer();
  d.owner = reader.text();
  d.name = reader.text();
  d.model = reader.integer();
  d.model_owner = reader.text();
  d.model_name = reader.text();
  d.target = reader.integer();
  d.current.deployment = d.id;
  d.current.number = reader.integer_as<std::int32_t>();
  d.current.version = reader.version();
  d.current.sku = reader.text();
  d.current.min_instances = reader.integer_as<std::int32_t>();
  d.current.max_instances = reader.integer_as<std::int32_t>();
  d.current.created_by = reader.integer();
  d.current.created_at = reader.time();
  d.current.state = reader.integer_as<ReleaseState>();
  d.last_used_at = reader.maybe_time();
  d.created_at = reader.time();
  return d;
}

}  // namespace mimeo::store
