// Which parts of a prediction's input and output are files, by the model's OpenAPI document:
// strings with "format": "uri" at any depth, also behind $ref, allOf, anyOf, arrays and objects.
// Pure.
//
// Fetching and storing them is input_files.h's and output_files.h's.

#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace mimeo::worker {

// One model's schema, parsed once per instance. Immutable: safe from any thread.
class FileFields {
 public:
  enum class Declared : bool { kNo, kYes };
  // Gets each string and whether the schema says that it is a file; may replace it in place.
  using Visitor = std::function<Status(std::string& value, Declared declared)>;

  // Text that is no OpenAPI document of a model declares no files. `is_training` looks at
  // TrainingInput and TrainingOutput where there are such.
  static std::shared_ptr<const FileFields> parse(std::string_view openapi, bool is_training);
  ~FileFields();

  // False: no input can be a file, so that inputs need not be parsed at all.
  [[nodiscard]] bool may_have_input_files() const { return has_input_files_; }

  // Visits every string of an input object, or of a whole output, with its place in the schema.
  Status visit_input(nlohmann::json& input, const Visitor& visitor) const;
  Status visit_output(nlohmann::json& output, const Visitor& visitor) const;
  // The same for one item of a list or iterator output (a streamed event).
  Status visit_output_item(nlohmann::json& item, const Visitor& visitor) const;

 private:
  struct Document;
  FileFields();
  std::unique_ptr<Document> document_;
  bool has_input_files_ = false;
};

}  // namespace mimeo::worker
