// The whole public API on one screen. Also served under the aliases that router.h names.

#include "control-plane/api/resources.h"

namespace mimeo::control {
namespace {

using CallFunction = Answer (*)(Api&, Call&);
using ExchangeFunction = ExchangeAnswer (*)(Api&, Call&, http::Exchange&);

// Scopes of which a token needs one. Reading a thing is allowed to whoever may use or change it.
using enum Scope;
constexpr Scopes kAnyToken;
constexpr Scopes kRun{kPredictions};
constexpr Scopes kSeeRuns{kRead, kPredictions};
constexpr Scopes kSeeModels{kRead, kPredictions, kModels, kDeployments};
constexpr Scopes kEditModels{kModels};
constexpr Scopes kSeeDeployments{kRead, kPredictions, kDeployments};
constexpr Scopes kEditDeployments{kDeployments};
constexpr Scopes kSeeFiles{kRead, kFiles};
constexpr Scopes kEditFiles{kFiles};
constexpr Scopes kSeeMembers{kRead, kAccount};
constexpr Scopes kManage{kAccount};
constexpr Scopes kSecrets{kPredictions, kAccount};
// Needed besides: what a training makes becomes the latest version of a model.
constexpr Scopes kAndModels{kModels};
constexpr Scopes kSeeBilling{kRead, kBilling};
constexpr Scopes kEditBilling{kBilling};

}  // namespace

std::vector<Route> api_routes(Api& api) {
  const auto call = [&api](CallFunction f) -> CallHandler {
    return [&api, f](Call& c) { return f(api, c); };
  };
  const auto exchange = [&api](ExchangeFunction f) -> ExchangeHandler {
    return [&api, f](Call& c, http::Exchange& e) { return f(api, c, e); };
  };
  using enum Access;
  using enum RateKind;
  constexpr Bytes kBody = 1_MiB;
  constexpr Bytes kInput = 16_MiB;  // Clients put files of up to 10 MB into the input as data URIs.
  constexpr Cors kOff = Cors::kOff;
  constexpr Cors kOpen = Cors::kAnyOrigin;
  // clang-format off
  return {
    // Anybody's: tokens are not looked at.
    {"GET",    "/openapi.json",                              call(get_openapi), kLinkOnly, kNone, kBody, kOpen, kAnyToken, ""},

    {"POST",   "/predictions",                               call(create_prediction), kToken, kCreatePrediction, kInput, kOff, kRun, ""},
    {"GET",    "/predictions",                               call(list_predictions), kToken, kOther, kBody, kOff, kSeeRuns, ""},
    {"GET",    "/predictions/{id}",                          call(get_prediction), kToken, kReadPrediction, kBody, kOff, kSeeRuns, ""},
    {"POST",   "/predictions/{id}/cancel",                   call(cancel_prediction), kToken, kOther, kBody, kOff, kRun, ""},
    {"GET",    "/predictions/{id}/usage",                    call(get_prediction_usage), kToken, kOther, kBody, kOff, kSeeRuns, ""},

    {"GET",    "/trainings",                                 call(list_trainings), kToken, kOther, kBody, kOff, kSeeRuns, ""},
    {"GET",    "/trainings/{id}",                            call(get_training), kToken, kReadPrediction, kBody, kOff, kSeeRuns, ""},
    {"POST",   "/trainings/{id}/cancel",                     call(cancel_training), kToken, kOther, kBody, kOff, kRun, ""},

    {"GET",    "/models",                                    call(list_models), kToken, kOther, kBody, kOff, kSeeModels, ""},
    {"POST",   "/models",                                    call(create_model), kToken, kOther, kBody, kOff, kEditModels, "model.create"},
    {"QUERY",  "/models",                                    call(query_models), kToken, kOther, kBody, kOff, kSeeModels, ""},
    {"GET",    "/models/{owner}/{name}",                     call(get_model), kToken, kOther, kBody, kOff, kSeeModels, ""},
    {"PATCH",  "/models/{owner}/{name}",                     call(update_model), kToken, kOther, kBody, kOff, kEditModels, "model.update"},
    {"DELETE", "/models/{owner}/{name}",                     call(delete_model), kToken, kOther, kBody, kOff, kEditModels, "model.delete"},
    {"GET",    "/models/{owner}/{name}/readme",              call(get_readme), kToken, kOther, kBody, kOff, kSeeModels, ""},
    {"GET",    "/models/{owner}/{name}/examples",            call(list_examples), kToken, kOther, kBody, kOff, kSeeModels, ""},
    {"POST",   "/models/{owner}/{name}/examples",            call(create_example), kToken, kOther, kBody, kOff, kEditModels, "example.add"},
    {"DELETE", "/models/{owner}/{name}/examples/{id}",       call(delete_example), kToken, kOther, kBody, kOff, kEditModels, "example.remove"},
    {"PUT",    "/models/{owner}/{name}/default-example",     call(put_default_example), kToken, kOther, kBody, kOff, kEditModels, "model.update"},
    {"POST",   "/models/{owner}/{name}/predictions",         call(create_model_prediction), kToken, kCreatePrediction, kInput, kOff, kRun, ""},
    {"GET",    "/models/{owner}/{name}/versions",            call(list_versions), kToken, kOther, kBody, kOff, kSeeModels, ""},
    {"GET",    "/models/{owner}/{name}/versions/{id}",       call(get_version), kToken, kOther, kBody, kOff, kSeeModels, ""},
    {"DELETE", "/models/{owner}/{name}/versions/{id}",       call(delete_version), kToken, kOther, kBody, kOff, kEditModels, "version.delete"},
    {"POST",   "/models/{owner}/{name}/versions/{id}/trainings", call(create_training), kToken, kOther, kInput, kOff, kRun, "", kAndModels},

    {"GET",    "/deployments",                               call(list_deployments), kToken, kOther, kBody, kOff, kSeeDeployments, ""},
    {"POST",   "/deployments",                               call(create_deployment), kToken, kOther, kBody, kOff, kEditDeployments, "deployment.create"},
    {"GET",    "/deployments/{owner}/{name}",                call(get_deployment), kToken, kOther, kBody, kOff, kSeeDeployments, ""},
    {"PATCH",  "/deployments/{owner}/{name}",                call(update_deployment), kToken, kOther, kBody, kOff, kEditDeployments, "deployment.update"},
    {"DELETE", "/deployments/{owner}/{name}",                call(delete_deployment), kToken, kOther, kBody, kOff, kEditDeployments, "deployment.delete"},
    {"POST",   "/deployments/{owner}/{name}/predictions",    call(create_deployment_prediction), kToken, kCreatePrediction, kInput, kOff, kRun, ""},

    {"GET",    "/account",                                   call(get_account), kToken, kOther, kBody, kOff, kAnyToken, ""},
    {"GET",    "/account/settings",                          call(get_account_settings), kToken, kOther, kBody, kOff, kManage, ""},
    {"PATCH",  "/account/settings",                          call(update_account_settings), kToken, kOther, kBody, kOff, kManage, "account.update"},
    {"GET",    "/account/usage",                             exchange(get_usage), kToken, kOther, kBody, kOff, kSeeBilling, ""},
    {"GET",    "/account/usage/predictions",                 exchange(list_prediction_usage), kToken, kOther, kBody, kOff, kSeeBilling, ""},
    {"GET",    "/account/spend-limit",                       call(get_spend_limit), kToken, kOther, kBody, kOff, kSeeBilling, ""},
    {"PUT",    "/account/spend-limit",                       call(put_spend_limit), kToken, kOther, kBody, kOff, kEditBilling, "spend_limit.set"},
    {"GET",    "/account/tokens",                            call(list_tokens), kToken, kOther, kBody, kOff, kManage, ""},
    {"POST",   "/account/tokens",                            call(create_token), kToken, kOther, kBody, kOff, kManage, "token.create"},
    {"GET",    "/account/tokens/{id}",                       call(get_token), kToken, kOther, kBody, kOff, kManage, ""},
    {"PATCH",  "/account/tokens/{id}",                       call(update_token), kToken, kOther, kBody, kOff, kManage, "token.update"},
    {"DELETE", "/account/tokens/{id}",                       call(delete_token), kToken, kOther, kBody, kOff, kManage, "token.disable"},
    {"GET",    "/account/audit-log",                         call(list_audit_log), kToken, kOther, kBody, kOff, kManage, ""},

    {"GET",    "/organizations",                             call(list_organizations), kToken, kOther, kBody, kOff, kSeeMembers, ""},
    {"POST",   "/organizations",                             call(create_organization), kToken, kOther, kBody, kOff, kManage, "organization.create"},
    {"GET",    "/organizations/{name}",                      call(get_organization), kToken, kOther, kBody, kOff, kSeeMembers, ""},
    {"PATCH",  "/organizations/{name}",                      call(update_organization), kToken, kOther, kBody, kOff, kManage, "organization.update"},
    {"GET",    "/organizations/{name}/members",              call(list_members), kToken, kOther, kBody, kOff, kSeeMembers, ""},
    {"PUT",    "/organizations/{name}/members/{username}",   call(put_member), kToken, kOther, kBody, kOff, kManage, "member.set"},
    {"DELETE", "/organizations/{name}/members/{username}",   call(remove_member), kToken, kOther, kBody, kOff, kManage, "member.remove"},

    {"GET",    "/hardware",                                  call(list_hardware), kToken, kOther, kBody, kOff, kAnyToken, ""},
    {"GET",    "/collections",                               call(list_collections), kToken, kOther, kBody, kOff, kSeeModels, ""},
    {"GET",    "/collections/{slug}",                        call(get_collection), kToken, kOther, kBody, kOff, kSeeModels, ""},
    {"GET",    "/search",                                    call(search), kAnybody, kOther, kBody, kOff, kSeeModels, ""},
    {"GET",    "/webhooks/default/secret",                   call(get_webhook_secret), kToken, kOther, kBody, kOff, kSecrets, ""},
    {"POST",   "/webhooks/default/secret/rotate",            call(rotate_webhook_secret), kToken, kOther, kBody, kOff, kManage, "webhook_secret.rotate"},
    {"GET",    "/webhooks/deliveries",                       call(list_webhook_deliveries), kToken, kOther, kBody, kOff, kSeeRuns, ""},
    {"GET",    "/webhooks/deliveries/{id}",                  call(get_webhook_delivery), kToken, kOther, kBody, kOff, kSeeRuns, ""},
    {"POST",   "/webhooks/deliveries/{id}/redeliver",        call(redeliver_webhook), kToken, kOther, kBody, kOff, kRun, "webhook.redeliver"},
    {"POST",   "/webhooks/test",                             call(test_webhook), kToken, kOther, kBody, kOff, kRun, ""},

    // A stream token is longer than any id of a file.
    {"GET",    "/streams/{token:53}",                        exchange(stream_prediction), kLinkOnly, kNone, kBody, kOpen, kAnyToken, ""},
    {"GET",    "/files/{token:53}",                          exchange(stream_prediction), kLinkOnly, kNone, kBody, kOpen, kAnyToken, ""},
    {"POST",   "/files",                                     exchange(create_file), kToken, kNone, kBody, kOff, kEditFiles, ""},
    {"GET",    "/files",                                     call(list_files), kToken, kNone, kBody, kOff, kSeeFiles, ""},
    {"GET",    "/files/{id}",                                call(get_file), kToken, kNone, kBody, kOff, kSeeFiles, ""},
    {"DELETE", "/files/{id}",                                call(delete_file), kToken, kNone, kBody, kOff, kEditFiles, "file.delete"},
    {"GET",    "/files/{id}/download",                       exchange(download_file), kLinkOnly, kNone, kBody, kOff, kAnyToken, ""},
    {"GET",    "/delivery/{token}/{filename}",               exchange(deliver_output), kLinkOnly, kNone, kBody, kOpen, kAnyToken, ""},
  };
  // clang-format on
}

}  // namespace mimeo::control
