#include "control-plane/service.h"

#include <grpcpp/grpcpp.h>

#include <optional>
#include <utility>
#include <vector>

#include "common/async/blocking_pool.h"
#include "common/async/task_group.h"
#include "common/http/health_endpoints.h"
#include "common/http/outbound.h"
#include "common/http/server.h"
#include "common/rpc/server.h"
#include "common/telemetry/log.h"
#include "control-plane/api/api.h"
#include "control-plane/database_clock.h"
#include "control-plane/http/audit_trail.h"
#include "control-plane/http/authenticator.h"
#include "control-plane/http/client_address.h"
#include "control-plane/http/front_page.h"
#include "control-plane/http/json_codec.h"
#include "control-plane/http/middleware.h"
#include "control-plane/http/rate_limiter.h"
#include "control-plane/http/router.h"
#include "control-plane/http/urls.h"
#include "control-plane/hub/hub_service.h"
#include "control-plane/hub/peer_streams.h"
#include "control-plane/predictions/event_hub.h"
#include "control-plane/predictions/prediction_intake.h"
#include "control-plane/predictions/queue_limits.h"
#include "control-plane/predictions/recent_predictions.h"
#include "control-plane/predictions/result_committer.h"
#include "control-plane/predictions/result_watch.h"
#include "control-plane/predictions/training_finisher.h"
#include "control-plane/rate_overrides.h"
#include "control-plane/registry/push_service.h"
#include "control-plane/registry/token_service.h"
#include "control-plane/registry/trained_version_maker.h"
#include "control-plane/retention/maintenance.h"
#include "control-plane/retention/sweeper.h"
#include "control-plane/retention/version_eraser.h"
#include "control-plane/scheduler_client.h"
#include "control-plane/usage/metering.h"
#include "control-plane/webhooks/sender.h"

namespace mimeo::control {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr std::size_t kReadThreads = 3;  // Views, cancels, waiters, small reads of our own.
constexpr std::size_t kApiThreads = 6;   // Everything else that the API reads and writes.
constexpr std::size_t kHubThreads = 4;   // What workers ask of the stores.
// Of files, for clients and for workers each; these use no store. A file store that hangs holds
// these up and nobody else.
constexpr std::size_t kTransferThreads = 16;
constexpr std::size_t kRegistryThreads = 2;  // A notified push does not wait for the reconcile.
constexpr std::size_t kTrainingThreads = 2;  // Versions of trainings that are made at once.
constexpr std::size_t kWebhookThreads = 32;  // Requests under way; these use no store.
constexpr std::size_t kSweepThreads = 1;     // Of its own: a slow blob store holds nobody else up.
constexpr std::size_t kMeteringThreads = 1;  // The same: a large backlog takes long.
constexpr milliseconds kWatchEvery{1000};
constexpr milliseconds kClockEvery{10'000};
constexpr milliseconds kRpcGrace{500};
constexpr milliseconds kStopLimit{5000};
constexpr milliseconds kPingLifetime{1000};

ApiSettings api_settings(const ControlPlaneConfig& config) {
  ApiSettings settings;
  settings.external_url = config.external_url;
  settings.default_max_instances = config.default_max_instances;
  settings.run_limit = config.run_limit;
  settings.training_run_limit = config.training_run_limit;
  settings.training_max_instances = config.training_max_instances;
  settings.file_lifetime = std::chrono::hours(config.keep_files_hours);
  settings.longest_keep = std::chrono::hours(config.keep_content_hours);
  if (config.webhook_https_only) settings.webhook_schemes = WebhookSchemes::kHttpsOnly;
  return settings;
}

RateLimits rate_limits(const ControlPlaneConfig& config) {
  RateLimits limits;
  limits.create_prediction = config.rate_create_per_minute;
  limits.read_prediction = config.rate_read_per_minute;
  limits.other = config.rate_other_per_minute;
  limits.anonymous = config.rate_anonymous_per_minute;
  return limits;
}

WebhookRetention webhook_retention(const ControlPlaneConfig& config) {
  WebhookRetention keep;
  keep.age = std::chrono::hours(24) * config.keep_webhook_log_days;
  return keep;
}

store::Retention retention(const ControlPlaneConfig& config) {
  store::Retention keep;
  keep.content = std::chrono::hours(config.keep_content_hours);
  keep.records = std::chrono::hours(24) * config.keep_records_days;
  return keep;
}

// What receivers of webhooks may be. complete_config() has checked the exceptions.
http::AddressRules webhook_addresses(const ControlPlaneConfig& config) {
  http::AddressRules rules;
  rules.allow_private = config.webhook_allow_private;
  rules.ports = http::AllowedPorts::kWebAndHigh;
  for (const std::string& entry : config.webhook_allow) {
    const Status added = http::add_exception(rules, entry);
    if (!added.ok()) log::error("webhook-allow: {}", added.ToString());
  }
  return rules;
}

WebhookOptions webhook_options() {
  WebhookOptions options;
  options.gate.in_flight = kWebhookThreads;
  return options;
}

CommitterOptions committer_options(const ControlPlaneConfig& config) {
  CommitterOptions options;
  options.batches_in_flight = config.batches_in_flight;
  return options;
}

MeteringOptions metering_options(const ControlPlaneConfig& config) {
  MeteringOptions options;
  if (config.spend_limit_pauses_deployments) {
    options.pausing = store::UsageStore::Pausing::kPauseAndResume;
  }
  return options;
}

HubServiceOptions hub_options(const ControlPlaneConfig& config) {
  HubServiceOptions options;
  options.external_url = config.external_url;
  return options;
}

}  // namespace

std::size_t store_threads(const ControlPlaneConfig& config) {
  const std::size_t writers = 2 * config.batches_in_flight + 1;  // Creates; results and starts.
  const std::size_t others =
      kHubThreads + kRegistryThreads + kTrainingThreads + kSweepThreads + kMeteringThreads;
  return writers + kReadThreads + kApiThreads + others;
}

// Members in the order in which they are built; they die in reverse.
struct Service::State {
  State(ServiceParts parts_in, ControlPlaneConfig config_in);

  asio::awaitable<Status> start();
  asio::awaitable<Status> start_core();
  Status start_rpc();
  void start_front(std::string hub_addr);
  void start_api();
  ApiParts api_parts();
  asio::awaitable<void> serve(http::Exchange* exchange);
  asio::awaitable<Status> check_ready();
  HubServiceParts hub_parts();
  SweeperParts sweeper_parts();
  WebhookParts webhook_parts();
  void forget(PredictionId id);
  void prepare_registry();
  void prepare_trainings();

  ServiceParts parts;
  const ControlPlaneConfig config;
  DatabaseClock clock;
  IdGenerator ids{clock, parts.random};
  const ReplicaId replica = ids.next();
  const Urls urls{config.external_url};
  const http::Outbound outbound;

  // Threads for what blocks. Writes have their own: they must never wait behind reads.
  BlockingPool create_pool{config.batches_in_flight};
  BlockingPool finish_pool{config.batches_in_flight + 1};
  BlockingPool read_pool{kReadThreads};
  BlockingPool api_pool{kApiThreads};
  BlockingPool hub_pool{kHubThreads};
  BlockingPool transfer_pool{kTransferThreads};
  BlockingPool hub_transfer_pool{kTransferThreads};
  BlockingPool registry_pool{kRegistryThreads};
  BlockingPool metering_pool{kMeteringThreads};
  BlockingPool webhook_pool{kWebhookThreads};
  BlockingPool sweep_pool{kSweepThreads};

  // Who calls.
  const std::vector<std::string> trusted_proxies;
  Authenticator authenticator;
  RateLimiter limiter;

  // What happens to predictions.
  std::unique_ptr<EventHub> hub;
  RecentPredictions recent;
  ResultWatch watch;
  QueueLimits limits;
  ResultCommitter committer;
  std::optional<RegistryTokens> registry;  // Both empty without a registry.
  std::optional<PushService> pushes;
  std::optional<TrainedVersionMaker> trained;  // The same.
  std::optional<TrainingFinisher> trainings;   // Empty without a store for them.
  // After the two above: it ends first, and waits for what still uses them on its threads.
  BlockingPool training_pool{kTrainingThreads};

  // Towards workers, schedulers and other control planes.
  std::unique_ptr<HubService> hub_service;
  std::unique_ptr<rpc::RpcServer> rpc_server;
  std::unique_ptr<LinkedSchedulerClient> scheduler;
  std::unique_ptr<PeerStreams> peers;

  // Towards clients.
  std::unique_ptr<PredictionIntake> intake;
  std::unique_ptr<WebhookSender> webhooks;
  std::unique_ptr<Api> api;
  Router router;
  std::optional<AuditTrail> audit;
  std::optional<Middleware> middleware;
  http::HealthEndpoints health;
  std::unique_ptr<http::Server> http_server;

  Maintenance maintenance;
  Sweeper sweeper;
  Metering metering;
  VersionEraser eraser;
  bool is_draining = false;
  SteadyTime pinged_at;
  TaskGroup tasks;  // Last: its tasks use everything above.
};

Service::State::State(ServiceParts parts_in, ControlPlaneConfig config_in)
    : parts(std::move(parts_in)),
      config(std::move(config_in)),
      clock(parts.clock),
      outbound(webhook_addresses(config)),
      trusted_proxies(parse_addresses(config.trusted_proxies).value_or(std::vector<std::string>())),
      authenticator(parts.catalog, api_pool, clock),
      limiter(clock, rate_limits(config)),
      hub(make_event_hub(parts.executor, clock)),
      recent(clock),
      watch(parts.executor, read_pool, parts.predictions, *hub, recent),
      limits(read_pool, parts.predictions, clock),
      committer(parts.executor, finish_pool, parts.predictions, recent, watch, parts.random,
                parts.metrics, committer_options(config)),
      health(parts.metrics, [this] { return check_ready(); }),
      maintenance(MaintenanceParts{.store = parts.maintenance,
                                   .fleet = parts.fleet,
                                   .pool = read_pool,
                                   .clock = clock,
                                   .webhook_log = parts.webhook_log,
                                   .accounts = parts.accounts},
                  retention(config), std::chrono::hours(24) * config.keep_audit_days,
                  webhook_retention(config)),
      sweeper(sweeper_parts()),
      metering(metering_pool, parts.usage, clock, parts.metrics, metering_options(config)),
      eraser(VersionEraserParts{
          .deletions = parts.deletions,
          .discovery = parts.discovery,
          .files = parts.files,
          .pool = read_pool,
          .on_erased =
              [this](PredictionId id) { asio::post(parts.executor, [this, id] { forget(id); }); }}),
      tasks(parts.executor) {
  if (parts.signer != nullptr) prepare_registry();
  if (parts.trainings != nullptr) prepare_trainings();
}

void Service::State::prepare_registry() {
  RegistryTokenOptions options;
  options.service = config.registry_service;
  options.account_url = config.external_url;
  registry.emplace(RegistryTokens::Parts{parts.catalog, api_pool, authenticator, limiter,
                                         *parts.signer, clock, parts.random, trusted_proxies},
                   std::move(options));
  PushServiceOptions push_options;
  push_options.registry_url = config.registry_url;
  push_options.hook_secret = config.registry_hook_secret;
  push_options.default_sku = api_settings(config).default_sku;
  pushes.emplace(parts.executor,
                 PushService::Parts{parts.catalog, parts.discovery, parts.accounts, registry_pool,
                                    *registry, clock, parts.metrics},
                 std::move(push_options));
  trained.emplace(
      TrainedVersionMaker::Parts{parts.catalog, parts.files, parts.blobs, *registry, clock},
      TrainedVersionMaker::Options{config.registry_url, config.external_url});
}

void Service::State::prepare_trainings() {
  TrainingFinisher::MakeVersion make;
  if (trained) {
    make = [this](const store::PredictionView& training, std::uint32_t attempt,
                  const std::string& output) { return trained->make(training, attempt, output); };
  }
  trainings.emplace(parts.executor, training_pool, parts.predictions, *parts.trainings, committer,
                    std::move(make), parts.random, parts.metrics);
}

HubServiceParts Service::State::hub_parts() {
  HubServiceParts hub_parts{*hub,        committer,    parts.predictions, parts.files,
                            parts.fleet, parts.blobs,  hub_pool,          hub_transfer_pool,
                            clock,       parts.random, parts.metrics,     {}};
  if (trainings) hub_parts.trainings = &*trainings;
  if (!registry) return hub_parts;
  hub_parts.pull_token = [this](const std::string& repository) -> Result<PullGrant> {
    PullGrant grant;
    grant.registry = config.registry;
    grant.token = registry->pull_token(repository);
    grant.lifetime = RegistryTokenOptions{}.pull_lifetime;
    return grant;
  };
  return hub_parts;
}

// Of a prediction whose data is gone from the store.
void Service::State::forget(PredictionId id) {
  recent.forget(id);
  hub->forget(id);
}

SweeperParts Service::State::sweeper_parts() {
  return {.retention = parts.retention,
          .files = parts.files,
          .predictions = parts.predictions,
          .blobs = parts.blobs,
          .pool = sweep_pool,
          .clock = clock,
          .metrics = parts.metrics,
          .on_removed = [this](PredictionId id) { forget(id); }};
}

WebhookParts Service::State::webhook_parts() {
  return WebhookParts{
      parts.outbox,
      parts.webhook_log,
      *intake,
      *hub,
      committer,
      watch,
      recent,
      read_pool,
      webhook_pool,
      clock,
      parts.random,
      parts.metrics,
      replica,
      [this](const store::PredictionView& view) { return prediction_json(view, urls); },
      [this](const http::OutboundRequest& request) { return outbound.perform(request); }};
}

asio::awaitable<Status> Service::State::start() {
  MIMEO_CO_RETURN_IF_ERROR(co_await start_core());
  MIMEO_CO_RETURN_IF_ERROR(start_rpc());
  const std::string hub_addr =
      config.grpc_advertise.empty() ? rpc_server->address() : config.grpc_advertise;
  start_front(hub_addr);
  // Listed as soon as workers may come; the HTTP port opens last.
  store::Replica row;
  row.id = replica;
  row.role = store::ReplicaRole::kControlPlane;
  row.addr = hub_addr;
  row.version = "0.1.0";
  tasks.spawn("our row in replicas", maintenance.keep_listed(row));
  MIMEO_CO_ASSIGN_OR_RETURN(http::ServerOptions options, http_options(config));
  http_server =
      std::make_unique<http::Server>(parts.executor, std::move(options),
                                     [this](http::Exchange& exchange) { return serve(&exchange); });
  MIMEO_CO_RETURN_IF_ERROR(http_server->start());
  log::info("ready http={} port={} hub={} replica={}", config.http_listen, http_server->port(),
            hub_addr, replica.str());
  co_return absl::OkStatus();
}

asio::awaitable<Status> Service::State::start_core() {
  auto measure = [this] { return clock.measure(parts.maintenance); };
  const Status measured = co_await read_pool.run(std::move(measure));
  MIMEO_CO_RETURN_IF_ERROR(with_context(measured, "reading the database's clock"));
  MIMEO_CO_RETURN_IF_ERROR(co_await maintenance.prepare());
  tasks.spawn("the database's clock", clock.run(&read_pool, &parts.maintenance, kClockEvery));
  tasks.spawn("ends elsewhere", watch.run(kWatchEvery));
  tasks.spawn("starts", committer.write_starts());
  tasks.spawn("deliveries", committer.write_deliveries());
  tasks.spawn("maintenance", maintenance.run());
  tasks.spawn("removals", sweeper.run());
  tasks.spawn("metering", metering.run());
  tasks.spawn("deleted versions", eraser.run());
  if (pushes) pushes->start();
  co_return absl::OkStatus();
}

Status Service::State::start_rpc() {
  hub_service = make_hub_service(parts.executor, hub_parts(), hub_options(config));
  rpc::RpcServerOptions options;
  options.address = config.grpc_listen;
  options.tls.certificate = config.grpc_tls_certificate;
  options.tls.key = config.grpc_tls_key;
  options.tls.ca = config.grpc_tls_ca;
  rpc_server = std::make_unique<rpc::RpcServer>(
      std::move(options), std::vector<grpc::Service*>{hub_service->service()});
  return with_context(rpc_server->start(), "grpc-listen");
}

void Service::State::start_front(std::string hub_addr) {
  SchedulerClientOptions client_options;
  client_options.replica = replica;
  client_options.hub_addr = std::move(hub_addr);
  scheduler = make_scheduler_client(parts.executor, read_pool, parts.fleet, clock, parts.metrics,
                                    std::move(client_options));
  scheduler->start();
  PeerStreamsOptions peer_options;
  peer_options.replica = replica;
  peers = make_peer_streams(parts.executor, read_pool, parts.fleet, *hub, watch, clock,
                            std::move(peer_options));
  peers->start();

  IntakeOptions intake_options;
  intake_options.batches_in_flight = config.batches_in_flight;
  intake_options.reserve_limit = config.reserve_limit;
  intake = make_prediction_intake(
      parts.executor,
      IntakeParts{parts.predictions, create_pool, read_pool, *scheduler, *hub, committer, watch,
                  recent, limits, clock, parts.random, parts.metrics},
      intake_options);
  webhooks = make_webhook_sender(parts.executor, webhook_parts(), webhook_options());
  webhooks->start();
  start_api();
}

ApiParts Service::State::api_parts() {
  return {.catalog = parts.catalog,
          .predictions = parts.predictions,
          .files = parts.files,
          .discovery = parts.discovery,
          .deletions = parts.deletions,
          .blobs = parts.blobs,
          .intake = *intake,
          .hub = *hub,
          .scheduler = *scheduler,
          .pool = api_pool,
          .transfers = transfer_pool,
          .clock = clock,
          .random = parts.random,
          .accounts = parts.accounts,
          .retention = parts.retention,
          .webhook_log = parts.webhook_log,
          .usage = parts.usage,
          .webhooks = *webhooks,
          .authenticator = authenticator,
          .trainings = trained ? parts.trainings : nullptr};
}

void Service::State::start_api() {
  api = std::make_unique<Api>(parts.executor, api_parts(), api_settings(config));
  if (trainings) {
    trainings->on_version([this](const std::string& destination) {
      const std::size_t slash = destination.find('/');
      api->reader.forget_model(destination.substr(0, slash), destination.substr(slash + 1));
    });
  }
  router.add(api_routes(*api));
  audit.emplace(parts.accounts, api_pool, clock, parts.metrics);
  middleware.emplace(Middleware::Parts{router, authenticator, limiter, clock, parts.random,
                                       parts.metrics, *audit, trusted_proxies});
  tasks.spawn("limits of accounts", keep_overrides(&limiter, &parts.limits, &api_pool));
  if (parts.access_feed == nullptr) return;
  parts.access_feed->start([this](std::optional<AccountId> account) {
    asio::post(parts.executor, [this, account] { authenticator.forget(account); });
  });
}

// What is not of the API is looked at first: a handful of exact paths, and the pages for people.
asio::awaitable<void> Service::State::serve(http::Exchange* exchange) {
  const http::RequestHead& head = exchange->head();
  if (http::HealthEndpoints::handles(head)) {
    co_await health.answer(*exchange);
    co_return;
  }
  if (is_front_page(head)) {
    http::Response page = front_page(urls);
    co_await exchange->respond(std::move(page));
  } else if (registry && head.path == "/registry/token") {
    co_await registry->handle_token(*exchange);
  } else if (pushes && head.path == "/registry/events") {
    co_await pushes->handle_events(*exchange);
  } else if (registry && head.path == "/cog/v1/display-token-url") {
    co_await registry->handle_display_token_url(*exchange);
  } else if (registry && head.path == "/cog/v1/verify-token") {
    co_await registry->handle_verify_token(*exchange);
  } else if (auto page = page_for(head, urls, router)) {
    co_await exchange->respond(std::move(*page));
  } else {
    co_await middleware->serve(*exchange);
  }
}

asio::awaitable<Status> Service::State::check_ready() {
  if (is_draining) co_return absl::UnavailableError("this process stops");
  if (clock.steady() - pinged_at < kPingLifetime) co_return absl::OkStatus();
  auto ping = [this] { return parts.maintenance.ping(); };
  const Status status = co_await read_pool.run(std::move(ping));
  if (status.ok()) pinged_at = clock.steady();
  co_return with_context(status, "the database");
}

Service::Service(ServiceParts parts, ControlPlaneConfig config)
    : state_(std::make_unique<State>(std::move(parts), std::move(config))) {}

Service::~Service() = default;

asio::awaitable<Status> Service::start() {
  const Status status = co_await state_->start();
  co_return status;
}

asio::awaitable<void> Service::stop() {
  State& state = *state_;
  state.is_draining = true;
  if (state.parts.access_feed != nullptr) {
    auto stop_feed = [&state] {
      state.parts.access_feed->stop();
      return absl::OkStatus();
    };
    co_await state.read_pool.run(std::move(stop_feed));
  }
  log::info("stopping");
  // Schedulers stop naming us to workers, other control planes stop asking us for events.
  auto remove = [&state] { return state.parts.fleet.remove_replica(state.replica); };
  const Status removed = co_await state.read_pool.run(std::move(remove));
  if (!removed.ok()) log::debug("removing our row: {}", removed.ToString());
  if (state.http_server) {
    // Synchronous requests still get their results: workers are connected until this is over.
    co_await state.http_server->stop(state.config.drain_timeout);
  }
  if (state.pushes) {
    const Status stopped = co_await state.pushes->stop(kStopLimit);
    if (!stopped.ok()) log::warn("stopping the registry's part: {}", stopped.ToString());
  }
  if (state.trained) state.trained->stop();
  if (state.trainings) {
    const Status stopped = co_await state.trainings->stop(kStopLimit);
    if (!stopped.ok()) log::warn("stopping trainings: {}", stopped.ToString());
  }
  if (state.webhooks) co_await state.webhooks->stop();
  if (state.hub_service) state.hub_service->drain();
  if (state.rpc_server) {
    auto stop_rpc = [&state] {
      state.rpc_server->stop(kRpcGrace);
      return absl::OkStatus();
    };
    co_await state.hub_pool.run(std::move(stop_rpc));
  }
  if (state.hub_service) co_await state.hub_service->stop();
  if (state.peers) co_await state.peers->stop();
  if (state.scheduler) co_await state.scheduler->stop();
  state.tasks.cancel();
  const Status ended = co_await state.tasks.wait(kStopLimit);
  if (!ended.ok()) log::warn("stopping: {}", ended.ToString());
  log::info("stopped");
}

std::uint16_t Service::http_port() const { return state_->http_server->port(); }
std::string Service::grpc_address() const { return state_->rpc_server->address(); }

}  // namespace mimeo::control
