// The handlers, one file of definitions per resource. All take the shared Api and the call, both of
// which outlive the coroutine; routes.cc says which path each serves.

#pragma once

#include <boost/asio/awaitable.hpp>

#include "common/http/server.h"
#include "control-plane/api/api.h"
#include "control-plane/http/call.h"

namespace mimeo::control {

using Answer = boost::asio::awaitable<Result<http::Response>>;
// Of handlers with the exchange; nullopt: answered already.
using ExchangeAnswer = boost::asio::awaitable<Result<std::optional<http::Response>>>;

// accounts.cc
Answer get_account(Api& api, Call& call);

// webhooks.cc
Answer list_webhook_deliveries(Api& api, Call& call);
Answer get_webhook_delivery(Api& api, Call& call);
Answer redeliver_webhook(Api& api, Call& call);
Answer test_webhook(Api& api, Call& call);
Answer get_webhook_secret(Api& api, Call& call);
Answer rotate_webhook_secret(Api& api, Call& call);

// description.cc
Answer get_openapi(Api& api, Call& call);
// tokens.cc
Answer list_tokens(Api& api, Call& call);
Answer create_token(Api& api, Call& call);
Answer get_token(Api& api, Call& call);
Answer update_token(Api& api, Call& call);
Answer delete_token(Api& api, Call& call);

// audit_log.cc
Answer list_audit_log(Api& api, Call& call);

// organizations.cc
Answer list_organizations(Api& api, Call& call);
Answer create_organization(Api& api, Call& call);
Answer get_organization(Api& api, Call& call);
Answer update_organization(Api& api, Call& call);
Answer list_members(Api& api, Call& call);
Answer put_member(Api& api, Call& call);
Answer remove_member(Api& api, Call& call);
// account_settings.cc
Answer get_account_settings(Api& api, Call& call);
Answer update_account_settings(Api& api, Call& call);

// usage.cc
ExchangeAnswer get_usage(Api& api, Call& call, http::Exchange& exchange);
ExchangeAnswer list_prediction_usage(Api& api, Call& call, http::Exchange& exchange);
Answer get_prediction_usage(Api& api, Call& call);

// spend_limit.cc
Answer get_spend_limit(Api& api, Call& call);
Answer put_spend_limit(Api& api, Call& call);

// hardware.cc
Answer list_hardware(Api& api, Call& call);

// collections.cc
Answer list_collections(Api& api, Call& call);
Answer get_collection(Api& api, Call& call);

// predictions.cc, prediction_create.cc
Answer create_prediction(Api& api, Call& call);
Answer create_model_prediction(Api& api, Call& call);
Answer create_deployment_prediction(Api& api, Call& call);
Answer get_prediction(Api& api, Call& call);
Answer list_predictions(Api& api, Call& call);
Answer cancel_prediction(Api& api, Call& call);

// trainings.cc
Answer create_training(Api& api, Call& call);
Answer get_training(Api& api, Call& call);
Answer list_trainings(Api& api, Call& call);
Answer cancel_training(Api& api, Call& call);

// models.cc
Answer list_models(Api& api, Call& call);
Answer create_model(Api& api, Call& call);
Answer query_models(Api& api, Call& call);
Answer get_model(Api& api, Call& call);
Answer update_model(Api& api, Call& call);
Answer delete_model(Api& api, Call& call);
Answer get_readme(Api& api, Call& call);

// examples.cc
Answer list_examples(Api& api, Call& call);
Answer create_example(Api& api, Call& call);
Answer delete_example(Api& api, Call& call);
Answer put_default_example(Api& api, Call& call);

// search.cc
Answer search(Api& api, Call& call);

// versions.cc
Answer list_versions(Api& api, Call& call);
Answer get_version(Api& api, Call& call);
Answer delete_version(Api& api, Call& call);

// deployments.cc
Answer list_deployments(Api& api, Call& call);
Answer create_deployment(Api& api, Call& call);
Answer get_deployment(Api& api, Call& call);
Answer update_deployment(Api& api, Call& call);
Answer delete_deployment(Api& api, Call& call);

// files.cc, file_upload.cc
ExchangeAnswer create_file(Api& api, Call& call, http::Exchange& exchange);
Answer list_files(Api& api, Call& call);
Answer get_file(Api& api, Call& call);
Answer delete_file(Api& api, Call& call);
ExchangeAnswer download_file(Api& api, Call& call, http::Exchange& exchange);

// delivery.cc
ExchangeAnswer deliver_output(Api& api, Call& call, http::Exchange& exchange);

// streams.cc
ExchangeAnswer stream_prediction(Api& api, Call& call, http::Exchange& exchange);

}  // namespace mimeo::control
