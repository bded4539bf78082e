// GET /account and GET /webhooks/default/secret.
#include "control-plane/api/resources.h"
#include "control-plane/http/json_codec.h"
#include "control-plane/http/json_writer.h"

namespace mimeo::control {

http::Response json_response(int status, std::string body) {
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

http::Response empty_response(int status) {
  http::Response response;
  response.status = status;
  return response;
}

Answer get_account(Api&, Call& call) { co_return json_response(200, account_json(call.account())); }

Answer get_webhook_secret(Api&, Call& call) {
  JsonWriter json;
  json.begin_object().key("key").string(call.account().webhook_secret).end_object();
  co_return json_response(200, json.take());
}

}  // namespace mimeo::control
