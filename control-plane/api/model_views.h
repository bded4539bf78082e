// Models as the API shows them: each with its latest version and its example, read together.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <vector>

#include "control-plane/api/api.h"

namespace mimeo::control {

// One JSON text per model, in order.
boost::asio::awaitable<Result<std::vector<std::string>>> models_json(
    Api& api, std::vector<store::Model> models);
boost::asio::awaitable<Result<std::string>> one_model_json(Api& api, store::Model model);

}  // namespace mimeo::control
