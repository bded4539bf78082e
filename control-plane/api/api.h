// What the handlers of the API share: the parts they call and the settings they obey. Made once in
// the service, outlives every request.

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/async/task_group.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/base/units.h"
#include "common/blobs/blob_store.h"
#include "common/store/accounts.h"
#include "common/store/catalog.h"
#include "common/store/files.h"
#include "common/store/predictions.h"
#include "common/store/retention.h"
#include "common/store/trainings.h"
#include "common/store/usage.h"
#include "common/store/webhook_log.h"
#include "control-plane/api/catalog_reader.h"
#include "control-plane/api/transfer_limit.h"
#include "control-plane/api/version_users.h"
#include "control-plane/http/authenticator.h"
#include "control-plane/http/router.h"
#include "control-plane/http/urls.h"
#include "control-plane/openapi/document.h"
#include "control-plane/predictions/event_hub.h"
#include "control-plane/predictions/prediction_intake.h"
#include "control-plane/scheduler_client.h"
#include "control-plane/usage/spend_guard.h"

namespace mimeo::control {

class WebhookSender;

enum class WebhookSchemes : std::uint8_t { kHttpsOnly, kHttpToo };

struct ApiSettings {
  std::string external_url;  // Base of every absolute URL.
  // Of a model that names no hardware, or names one that is gone.
  std::string default_sku = "cpu";
  std::int32_t default_max_instances = 1;  // Of version pools.
  std::chrono::milliseconds run_limit{30 * 60 * 1000};
  std::chrono::milliseconds training_run_limit{24 * 60 * 60 * 1000};
  std::int32_t training_max_instances = 4;  // Of training pools.
  WebhookSchemes webhook_schemes = WebhookSchemes::kHttpToo;
  Bytes max_file{100'000'000};
  std::chrono::hours file_lifetime{24};  // Of uploads.
  std::size_t max_uploads = 1'000;       // At once; the same for downloads.
  std::size_t max_downloads = 1'000;
  std::chrono::seconds longest_keep = std::chrono::hours(24 * 95);  // Of predictions' data.
  std::chrono::seconds deployment_idle{15 * 60};  // Unused for that long before it may be deleted.
  store::AccountBounds account_bounds{.tokens = 100, .organizations = 50, .members = 500};
};

struct ApiParts {
  store::CatalogStore& catalog;
  store::PredictionStore& predictions;
  store::FilesStore& files;
  store::DiscoveryStore& discovery;
  store::VersionDeletionStore& deletions;
  blobs::BlobStore& blobs;
  PredictionIntake& intake;
  EventHub& hub;
  SchedulerClient& scheduler;  // Told of changed targets: a hint.
  BlockingPool& pool;
  BlockingPool& transfers;  // For `blobs` alone: a store of files that hangs holds nothing else up.
  const Clock& clock;
  Random& random;
  store::AccountsStore& accounts;
  store::RetentionStore& retention;
  store::WebhookLogStore& webhook_log;
  store::UsageStore& usage;
  WebhookSender& webhooks;
  Authenticator& authenticator;               // Told of changes to who may do what.
  store::TrainingStore* trainings = nullptr;  // Null = trainings are refused: there is no registry.
};

// Lives on the HTTP thread.
class Api {
 public:
  Api(boost::asio::any_io_executor executor, ApiParts given, ApiSettings chosen)
      : parts(given),
        settings(std::move(chosen)),
        urls(settings.external_url),
        description(openapi_document(settings.external_url)),
        ids(parts.clock, parts.random),
        reader(parts.catalog, parts.discovery, parts.pool, parts.clock),
        version_users(parts.deletions, parts.pool, parts.clock),
        uploads(settings.max_uploads),
        downloads(settings.max_downloads),
        spend(executor, parts.pool, parts.usage, parts.clock),
        tasks(std::move(executor)) {}

  const ApiParts parts;
  const ApiSettings settings;
  const Urls urls;
  const Result<OpenApiDocument>
      description;  // Not OK only when the fragments contradict each other.
  IdGenerator ids;
  CatalogReader reader;
  VersionUsers version_users;
  TransferLimit uploads;
  TransferLimit downloads;
  SpendGuard spend;
  TaskGroup tasks;  // Last: its tasks use everything above.
};

// Every route of the public API; routes.cc is the whole API on one screen.
[[nodiscard]] std::vector<Route> api_routes(Api& api);

// {"Content-Type": "application/json"} and `body`.
[[nodiscard]] http::Response json_response(int status, std::string body);
[[nodiscard]] http::Response empty_response(int status);

}  // namespace mimeo::control
