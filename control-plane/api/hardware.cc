// GET /hardware: a bare array.
#include "control-plane/api/resources.h"
#include "control-plane/http/json_codec.h"
#include "control-plane/http/json_writer.h"

namespace mimeo::control {

Answer list_hardware(Api& api, Call&) {
  MIMEO_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const std::vector<Hardware>> all,
                            co_await api.reader.hardware());
  JsonWriter json;
  json.begin_array();
  for (const Hardware& hardware : *all) json.raw(hardware_json(hardware));
  json.end_array();
  co_return json_response(200, json.take());
}

}  // namespace mimeo::control
