// GET /account.
#include "control-plane/api/resources.h"
#include "control-plane/http/json_codec.h"

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

}  // namespace mimeo::control
