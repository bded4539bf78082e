#include "sdk/cpp/model.h"

namespace mimeo::sdk {

Input& Input::describe(std::string text) {
  description_ = std::move(text);
  return *this;
}
Input& Input::default_value(Json value) {
  default_ = std::move(value);
  return *this;
}
Input& Input::optional() {
  is_optional_ = true;
  return *this;
}
Input& Input::at_least(double minimum) {
  minimum_ = minimum;
  return *this;
}
Input& Input::at_most(double maximum) {
  maximum_ = maximum;
  return *this;
}
Input& Input::min_length(std::size_t characters) {
  min_length_ = characters;
  return *this;
}
Input& Input::max_length(std::size_t characters) {
  max_length_ = characters;
  return *this;
}
Input& Input::matching(std::string regex) {
  pattern_ = std::move(regex);
  return *this;
}
Input& Input::choices(std::vector<Json> values) {
  choices_ = std::move(values);
  return *this;
}
Input& Input::list() {
  is_list_ = true;
  return *this;
}
Input& Input::accept(std::string mime_types) {
  accept_ = std::move(mime_types);
  return *this;
}
Input& Input::deprecated() {
  is_deprecated_ = true;
  return *this;
}

bool Prediction::has(std::string_view name) const {
  const auto it = inputs().find(name);
  return it != inputs().end() && !it->is_null();
}
std::string Prediction::text(std::string_view name) const {
  return inputs().at(std::string(name)).get<std::string>();
}
std::int64_t Prediction::integer(std::string_view name) const {
  return inputs().at(std::string(name)).get<std::int64_t>();
}
double Prediction::number(std::string_view name) const {
  return inputs().at(std::string(name)).get<double>();
}
bool Prediction::boolean(std::string_view name) const {
  return inputs().at(std::string(name)).get<bool>();
}
std::filesystem::path Prediction::file(std::string_view name) const { return text(name); }
std::vector<std::filesystem::path> Prediction::files(std::string_view name) const {
  std::vector<std::filesystem::path> paths;
  for (const Json& item : inputs().at(std::string(name)))
    paths.emplace_back(item.get<std::string>());
  return paths;
}
void Prediction::check_canceled() const {
  if (is_canceled()) throw Canceled{};
}

Model& Model::setup(std::function<void(const SetupLog&)> function) {
  setup_ = [function = std::move(function)](const SetupLog& log, const Weights&) { function(log); };
  return *this;
}
Model& Model::setup(std::function<void(const SetupLog&, const Weights&)> function) {
  setup_ = std::move(function);
  return *this;
}
Model& Model::input(Input input) {
  inputs_.push_back(std::move(input));
  return *this;
}
Model& Model::output(Output output) {
  output_ = std::move(output);
  return *this;
}
Model& Model::predict(std::function<Json(Prediction&)> function) {
  predict_ = std::move(function);
  return *this;
}
Model& Model::concurrency(int slots) {
  slots_ = slots;
  return *this;
}
Model& Model::healthcheck(std::function<bool()> function) {
  healthcheck_ = std::move(function);
  return *this;
}
Model& Model::training_input(Input input) {
  training_inputs_.push_back(std::move(input));
  return *this;
}
Model& Model::training_output(Output output) {
  training_output_ = std::move(output);
  return *this;
}
Model& Model::train(std::function<Json(Prediction&)> function) {
  train_ = std::move(function);
  return *this;
}

}  // namespace mimeo::sdk
