// The OutboxStore and WebhookLogStore parts of PostgresStore.

#include <algorithm>
#include <set>

#include "common/store/postgres/batch.h"
#include "common/store/postgres/codec.h"
#include "common/store/postgres/connection_pool.h"
#include "common/store/postgres/postgres_store.h"
#include "common/store/postgres/statements_webhooks.h"

namespace mimeo::store {
namespace {

WebhookDelivery due_of(const pqxx::row& row) {
  RowReader reader(row);
  WebhookDelivery delivery;
  delivery.id = reader.integer();
  delivery.prediction = reader.uuid();
  delivery.event = reader.integer_as<WebhookEvent>();
  delivery.redelivery_of = reader.text();
  delivery.tries = reader.integer_as<std::uint32_t>();
  delivery.claim = reader.integer_as<std::uint32_t>();
  delivery.created_at = reader.time();
  delivery.account = reader.maybe_integer().value_or(0);
  delivery.url = reader.text();
  return delivery;
}

LoggedWebhook delivery_of(const pqxx::row& row) {
  RowReader reader(row);
  LoggedWebhook delivery;
  delivery.row = reader.integer();
  delivery.id = reader.text();
  delivery.account = reader.integer();
  delivery.prediction = reader.uuid();
  delivery.event = reader.integer_as<WebhookEvent>();
  delivery.url = reader.text();
  delivery.state = reader.integer_as<DeliveryState>();
  delivery.attempts = reader.integer_as<std::uint32_t>();
  delivery.created_at = reader.time();
  delivery.changed_at = reader.time();
  delivery.next_at = reader.maybe_time();
  delivery.response_status = reader.integer_as<std::int32_t>();
  delivery.error = reader.text();
  return delivery;
}

WebhookAttempt attempt_of(const pqxx::row& row) {
  RowReader reader(row);
  WebhookAttempt attempt;
  attempt.number = reader.integer_as<std::uint32_t>();
  attempt.at = reader.time();
  attempt.took = std::chrono::milliseconds(reader.integer());
  attempt.request_headers = reader.text();
  attempt.request_body = reader.text();
  attempt.request_bytes = reader.integer();
  attempt.response_status = reader.integer_as<std::int32_t>();
  attempt.response_headers = reader.text();
  attempt.response_body = reader.text();
  attempt.error = reader.text();
  return attempt;
}

// The columns of kSettle.
struct Settlements {
  SqlArray outbox, next, delay, delivery, account, prediction, event, url, state, next_at, at, took,
      request_headers, request_body, request_bytes, status, response_headers, response_body, error,
      claim;
  std::vector<PredictionId> predictions;

  void add(const WebhookSettlement& item) {
    outbox.add(item.outbox_id);
    claim.add(static_cast<std::int64_t>(item.claim));
    next.add(static_cast<std::int64_t>(item.then));
    delay.add(static_cast<std::int64_t>(item.delay.count()));
    const LoggedWebhook none;
    const LoggedWebhook& d = item.delivery ? *item.delivery : none;
    delivery.add_text_or_null(d.id);
    account.add(d.account);
    prediction.add(d.prediction);
    event.add(static_cast<std::int64_t>(d.event));
    url.add_text(d.url);
    state.add(static_cast<std::int64_t>(d.state));
    next_at.add(d.next_at);
    add(item.attempt);
    if (!d.prediction.is_nil()) predictions.push_back(d.prediction);
  }
  void add(const WebhookAttempt& a) {
    at.add(a.at);
    took.add(static_cast<std::int64_t>(a.took.count()));
    request_headers.add_text_or_null(a.request_headers);
    request_body.add_text_or_null(a.request_body);
    request_bytes.add(a.request_bytes);
    status.add(static_cast<std::int64_t>(a.response_status));
    response_headers.add_text_or_null(a.response_headers);
    response_body.add_text_or_null(a.response_body);
    error.add_text_or_null(a.error);
  }
};

// In rounds in which no delivery comes twice, ordered so that two batches lock in the same order.
std::vector<std::vector<const WebhookSettlement*>> settlement_rounds(
    std::span<const WebhookSettlement> batch) {
  std::vector<const WebhookSettlement*> left;
  for (const WebhookSettlement& item : batch) left.push_back(&item);
  const auto key = [](const WebhookSettlement* item) {
    return item->delivery ? std::string_view(item->delivery->id) : std::string_view();
  };
  std::stable_sort(left.begin(), left.end(),
                   [&](const auto* a, const auto* b) { return key(a) < key(b); });
  std::vector<std::vector<const WebhookSettlement*>> rounds;
  while (!left.empty()) {
    std::set<std::string_view> seen;
    std::vector<const WebhookSettlement*> rest;
    rounds.emplace_back();
    for (const WebhookSettlement* item : left) {
      const bool is_first = key(item).empty() || seen.insert(key(item)).second;
      (is_first ? rounds.back() : rest).push_back(item);
    }
    left = std::move(rest);
  }
  return rounds;
}

SqlArray array_of(std::span<const PredictionId> ids) {
  SqlArray array;
  for (const PredictionId& id : ids) array.add(id);
  return array;
}

template <class Enum>
std::optional<std::int32_t> number_of(const std::optional<Enum>& value) {
  if (!value) return std::nullopt;
  return static_cast<std::int32_t>(*value);
}

}  // namespace

Result<std::vector<WebhookDelivery>> PostgresStore::claim_due(std::size_t limit,
                                                              std::chrono::milliseconds lease,
                                                              ReplicaId sender) {
  using Answer = Result<std::vector<WebhookDelivery>>;
  return pool_->with("claiming webhooks", [&](Connection& connection) -> Answer {
    std::vector<WebhookDelivery> claimed;
    for (const pqxx::row& row :
         connection.run(kClaimDue, limit, sql_interval(lease), sender.hex())) {
      claimed.push_back(due_of(row));
    }
    return claimed;
  });
}

Status PostgresStore::settle(std::span<const WebhookSettlement> batch) {
  if (batch.empty()) return absl::OkStatus();
  const auto rounds = settlement_rounds(batch);
  return pool_->with("settling webhooks", [&](Connection& connection) -> Status {
    const auto run = [&](auto execute, const std::vector<const WebhookSettlement*>& round) {
      Settlements s;
      for (const WebhookSettlement* item : round) s.add(*item);
      const auto [low, high] = bounds_of(std::span<const Uuid>(s.predictions));
      execute(kSettle, s.outbox.take(), s.next.take(), s.delay.take(), s.delivery.take(),
              s.account.take(), s.prediction.take(), s.event.take(), s.url.take(), s.state.take(),
              s.next_at.take(), s.at.take(), s.took.take(), s.request_headers.take(),
              s.request_body.take(), s.request_bytes.take(), s.status.take(),
              s.response_headers.take(), s.response_body.take(), s.error.take(), s.claim.take(),
              low.hex(), high.hex());
    };
    if (rounds.size() == 1) {
      run([&](auto&&... all) { connection.run(std::forward<decltype(all)>(all)...); }, rounds[0]);
      return absl::OkStatus();
    }
    pqxx::work transaction(connection.raw());
    for (const auto& round : rounds) {
      run(
          [&](auto&&... all) {
            connection.run_in(transaction, std::forward<decltype(all)>(all)...);
          },
          round);
    }
    transaction.commit();
    return absl::OkStatus();
  });
}

Result<std::vector<WebhookHold>> PostgresStore::hold_predictions(std::span<const PredictionId> ids,
                                                                 ReplicaId sender,
                                                                 std::chrono::milliseconds lease) {
  using Answer = Result<std::vector<WebhookHold>>;
  return pool_->with("holding predictions", [&](Connection& connection) -> Answer {
    std::vector<WebhookHold> holds;
    for (const pqxx::row& row : connection.run(kHoldPredictions, array_of(ids).take(), sender.hex(),
                                               sql_interval(lease))) {
      RowReader reader(row);
      WebhookHold hold;
      hold.is_held = reader.boolean();
      hold.is_active = reader.boolean();
      hold.has_started = reader.boolean();
      hold.owes_start = reader.boolean();
      holds.push_back(hold);
    }
    return holds;
  });
}

Status PostgresStore::release_holds(ReplicaId sender) {
  return pool_->with("releasing holds", [&](Connection& connection) -> Status {
    connection.run(kReleaseHolds, sender.hex());
    return absl::OkStatus();
  });
}

Result<std::vector<LoggedWebhook>> PostgresStore::list_webhooks(const WebhookFilter& filter) {
  using Answer = Result<std::vector<LoggedWebhook>>;
  return pool_->with("listing webhooks", [&](Connection& connection) -> Answer {
    std::vector<LoggedWebhook> found;
    const Param prediction = filter.prediction ? sql_uuid(*filter.prediction) : Param();
    for (const pqxx::row& row : connection.run(
             kListWebhooks, filter.account, prediction, number_of(filter.event),
             number_of(filter.state), filter.before_row, static_cast<std::int64_t>(filter.limit))) {
      found.push_back(delivery_of(row));
    }
    return found;
  });
}

Result<LoggedWebhook> PostgresStore::get_webhook(std::string_view id, AccountId account) {
  return pool_->with("reading a webhook", [&](Connection& connection) -> Result<LoggedWebhook> {
    const pqxx::result rows = connection.run(kGetWebhook, std::string(id), account);
    if (rows.empty()) return absl::NotFoundError("no such webhook");
    return delivery_of(rows[0]);
  });
}

Result<std::vector<WebhookAttempt>> PostgresStore::list_webhook_attempts(std::string_view id) {
  using Answer = Result<std::vector<WebhookAttempt>>;
  return pool_->with("reading attempts of a webhook", [&](Connection& connection) -> Answer {
    std::vector<WebhookAttempt> attempts;
    for (const pqxx::row& row : connection.run(kListWebhookAttempts, std::string(id))) {
      attempts.push_back(attempt_of(row));
    }
    return attempts;
  });
}

Result<LoggedWebhook> PostgresStore::redeliver_webhook(std::string_view id, AccountId account) {
  return pool_->with(
      "redelivering a webhook", [&](Connection& connection) -> Result<LoggedWebhook> {
        const pqxx::result rows = connection.run(kRedeliverWebhook, std::string(id), account);
        if (!rows.empty()) return delivery_of(rows[0]);
        if (connection.run(kGetWebhook, std::string(id), account).empty()) {
          return absl::NotFoundError("no such webhook");
        }
        return absl::FailedPreconditionError("the prediction is gone");
      });
}

Result<std::int64_t> PostgresStore::sweep_webhooks(WallTime before, std::size_t per_account) {
  return pool_->with("sweeping webhooks", [&](Connection& connection) -> Result<std::int64_t> {
    const pqxx::row old = connection.run(kSweepOldWebhooks, sql_time(before))[0];
    const std::int64_t swept = RowReader(old).integer();
    if (swept > 0) return swept;  // The surplus is looked for when no old ones are left.
    const pqxx::row surplus =
        connection.run(kSweepSurplusWebhooks, static_cast<std::int64_t>(per_account))[0];
    return RowReader(surplus).integer();
  });
}

Result<WebhookSecrets> PostgresStore::get_webhook_secrets(AccountId account, WallTime now) {
  using Answer = Result<WebhookSecrets>;
  return pool_->with("reading webhook secrets", [&](Connection& connection) -> Answer {
    const pqxx::result rows = connection.run(kGetWebhookSecrets, account, sql_time(now));
    if (rows.empty()) return absl::NotFoundError("no such account");
    const pqxx::row row = rows[0];
    RowReader reader(row);
    WebhookSecrets secrets;
    secrets.current = reader.text();
    secrets.previous = reader.text();
    return secrets;
  });
}

Status PostgresStore::rotate_webhook_secret(AccountId account, std::string_view secret,
                                            WallTime until) {
  return pool_->with("rotating a webhook secret", [&](Connection& connection) -> Status {
    const pqxx::result result =
        connection.run(kRotateWebhookSecret, account, std::string(secret), sql_time(until));
    return result.affected_rows() > 0 ? absl::OkStatus() : absl::NotFoundError("no such account");
  });
}

}  // namespace mimeo::store
