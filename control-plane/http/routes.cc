// The whole public API on one screen. Also served under the aliases that router.h names.

#include "control-plane/api/resources.h"

namespace mimeo::control {
namespace {

using CallFunction = Answer (*)(Api&, Call&);
using ExchangeFunction = ExchangeAnswer (*)(Api&, Call&, http::Exchange&);

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
    {"POST",   "/predictions",                               call(create_prediction), kToken, kCreatePrediction, kInput, kOff},
    {"GET",    "/predictions",                               call(list_predictions), kToken, kOther, kBody, kOff},
    {"GET",    "/predictions/{id}",                          call(get_prediction), kToken, kReadPrediction, kBody, kOff},
    {"POST",   "/predictions/{id}/cancel",                   call(cancel_prediction), kToken, kOther, kBody, kOff},

    {"GET",    "/trainings",                                 call(list_trainings), kToken, kOther, kBody, kOff},
    {"GET",    "/trainings/{id}",                            call(get_training), kToken, kReadPrediction, kBody, kOff},
    {"POST",   "/trainings/{id}/cancel",                     call(cancel_training), kToken, kOther, kBody, kOff},

    {"GET",    "/models",                                    call(list_models), kToken, kOther, kBody, kOff},
    {"POST",   "/models",                                    call(create_model), kToken, kOther, kBody, kOff},
    {"QUERY",  "/models",                                    call(query_models), kToken, kOther, kBody, kOff},
    {"GET",    "/models/{owner}/{name}",                     call(get_model), kToken, kOther, kBody, kOff},
    {"PATCH",  "/models/{owner}/{name}",                     call(update_model), kToken, kOther, kBody, kOff},
    {"DELETE", "/models/{owner}/{name}",                     call(delete_model), kToken, kOther, kBody, kOff},
    {"GET",    "/models/{owner}/{name}/readme",              call(get_readme), kToken, kOther, kBody, kOff},
    {"GET",    "/models/{owner}/{name}/examples",            call(list_examples), kToken, kOther, kBody, kOff},
    {"POST",   "/models/{owner}/{name}/examples",            call(create_example), kToken, kOther, kBody, kOff},
    {"DELETE", "/models/{owner}/{name}/examples/{id}",       call(delete_example), kToken, kOther, kBody, kOff},
    {"PUT",    "/models/{owner}/{name}/default-example",     call(put_default_example), kToken, kOther, kBody, kOff},
    {"POST",   "/models/{owner}/{name}/predictions",         call(create_model_prediction), kToken, kCreatePrediction, kInput, kOff},
    {"GET",    "/models/{owner}/{name}/versions",            call(list_versions), kToken, kOther, kBody, kOff},
    {"GET",    "/models/{owner}/{name}/versions/{id}",       call(get_version), kToken, kOther, kBody, kOff},
    {"DELETE", "/models/{owner}/{name}/versions/{id}",       call(delete_version), kToken, kOther, kBody, kOff},
    {"POST",   "/models/{owner}/{name}/versions/{id}/trainings", call(create_training), kToken, kOther, kInput, kOff},

    {"GET",    "/deployments",                               call(list_deployments), kToken, kOther, kBody, kOff},
    {"POST",   "/deployments",                               call(create_deployment), kToken, kOther, kBody, kOff},
    {"GET",    "/deployments/{owner}/{name}",                call(get_deployment), kToken, kOther, kBody, kOff},
    {"PATCH",  "/deployments/{owner}/{name}",                call(update_deployment), kToken, kOther, kBody, kOff},
    {"DELETE", "/deployments/{owner}/{name}",                call(delete_deployment), kToken, kOther, kBody, kOff},
    {"POST",   "/deployments/{owner}/{name}/predictions",    call(create_deployment_prediction), kToken, kCreatePrediction, kInput, kOff},

    {"GET",    "/account",                                   call(get_account), kToken, kOther, kBody, kOff},
    {"GET",    "/hardware",                                  call(list_hardware), kToken, kOther, kBody, kOff},
    {"GET",    "/collections",                               call(list_collections), kToken, kOther, kBody, kOff},
    {"GET",    "/collections/{slug}",                        call(get_collection), kToken, kOther, kBody, kOff},
    {"GET",    "/search",                                    call(search), kAnybody, kOther, kBody, kOff},
    {"GET",    "/webhooks/default/secret",                   call(get_webhook_secret), kToken, kOther, kBody, kOff},

    // A stream token is longer than any id of a file.
    {"GET",    "/streams/{token:53}",                        exchange(stream_prediction), kLinkOnly, kNone, kBody, kOpen},
    {"GET",    "/files/{token:53}",                          exchange(stream_prediction), kLinkOnly, kNone, kBody, kOpen},
    {"POST",   "/files",                                     exchange(create_file), kToken, kNone, kBody, kOff},
    {"GET",    "/files",                                     call(list_files), kToken, kNone, kBody, kOff},
    {"GET",    "/files/{id}",                                call(get_file), kToken, kNone, kBody, kOff},
    {"DELETE", "/files/{id}",                                call(delete_file), kToken, kNone, kBody, kOff},
    {"GET",    "/files/{id}/download",                       exchange(download_file), kLinkOnly, kNone, kBody, kOff},
    {"GET",    "/delivery/{token}/{filename}",               exchange(deliver_output), kLinkOnly, kNone, kBody, kOpen},
  };
  // clang-format on
}

}  // namespace mimeo::control
