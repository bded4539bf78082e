#include "worker/files/input_files.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "common/base/concat.h"
#include "common/base/file_names.h"
#include "common/telemetry/log.h"
#include "worker/files/data_url.h"
#include "worker/files/run_all.h"
#include "worker/text.h"

namespace mimeo::worker {
namespace {

namespace fs = std::filesystem;
using boost::asio::awaitable;
using nlohmann::json;

constexpr int kMaxRedirects = 5;
constexpr std::size_t kShownUrl = 200;

bool is_web_url(std::string_view text) {
  return starts_with_any_case(text, "http://") || starts_with_any_case(text, "https://");
}

bool is_data_url(std::string_view text) { return starts_with_any_case(text, "data:"); }

// Looks like one of the control plane's own: only it can tell, so it is asked first.
bool may_be_ours(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const std::size_t path = url.find('/', scheme + 3);
  if (path == std::string_view::npos) return false;
  const std::string_view rest = url.substr(path);
  return contains(rest, "/v1/files/") || contains(rest, "/delivery/");
}

std::string shown(const std::string& url) {
  return url.size() <= kShownUrl ? url : url.substr(0, kShownUrl) + "...";
}

Status too_large_for_inline(Bytes most) {
  return absl::ResourceExhaustedError(
      concat("this worker hands input files over inline, at most ", most.count,
             " bytes of them: start it without --publish-ports for larger ones"));
}

// A file below the spool that is written from the beginning, possibly more than once.
class TargetFile {
 public:
  explicit TargetFile(fs::path path) : path_(std::move(path)) {}

  Status reset() {
    std::error_code error;
    fs::create_directories(path_.parent_path(), error);
    file_.close();
    file_.clear();
    file_.open(path_, std::ios::binary | std::ios::trunc);
    return check();
  }
  Status write(std::string_view piece) {
    file_.write(piece.data(), static_cast<std::streamsize>(piece.size()));
    return check();
  }
  Status close() {
    file_.close();
    return check();
  }

 private:
  [[nodiscard]] Status check() const {
    if (file_) return absl::OkStatus();
    return absl::ResourceExhaustedError("an input file could not be written on the worker's disk");
  }

  const fs::path path_;
  std::ofstream file_;
};

}  // namespace

struct InputFiles::Plan {
  struct File {
    std::string* place = nullptr;  // In `input`; rewritten at the end.
    std::string url;
    std::string name;
    fs::path path;
    std::uint64_t bytes = 0;  // Of its current try.
  };
  InputJob job;
  json input;
  std::vector<File> files;
  std::atomic<std::uint64_t> total_bytes{0};  // Of all files: they come at once.

  [[nodiscard]] fs::path folder() const { return job.spool / "in" / job.attempt.str(); }

  Status find() {
    input = json::parse(job.input, nullptr, false);
    if (!input.is_object()) return absl::InvalidArgumentError("the input is not a JSON object");
    return job.fields->visit_input(input,
                                   [this](std::string& value, FileFields::Declared declared) {
                                     if (declared == FileFields::Declared::kNo)
                                       return absl::OkStatus();
                                     if (!is_web_url(value) && !is_data_url(value))
                                       return absl::OkStatus();
                                     if (is_data_url(value) && job.gateway.empty())
                                       return absl::OkStatus();  // Is inline already.
                                     File file;
                                     file.place = &value;
                                     file.url = value;
                                     file.name = is_data_url(value) ? "" : filename_of_url(value);
                                     files.push_back(std::move(file));
                                     return absl::OkStatus();
                                   });
  }

  // The place of file `index`, once its name is known.
  [[nodiscard]] fs::path path_of(std::size_t index, const std::string& name) const {
    return folder() / std::to_string(index) / name;
  }

  Status rewrite() {
    for (std::size_t i = 0; i < files.size(); ++i) {
      const File& file = files[i];
      if (!job.gateway.empty()) {
        *file.place = absl::StrCat(job.gateway, "/in/", job.attempt.str(), "/", i, "/",
                                   http::percent_encode(file.path.filename().string()));
        continue;
      }
      std::ifstream in(file.path, std::ios::binary);
      std::ostringstream content;
      content << in.rdbuf();
      *file.place = make_data_url(type_of_file_name(file.name), content.str());
    }
    if (job.gateway.empty()) remove();
    return absl::OkStatus();
  }

  void remove() const {
    std::error_code ignored;
    fs::remove_all(folder(), ignored);
  }
};

Status InputFiles::fetch(Plan& plan, std::size_t index) const {
  Plan::File& file = plan.files[index];
  TargetFile target(file.path);
  const bool is_inline = plan.job.gateway.empty();
  const Bytes most_together = is_inline ? limits_.max_inline_total : limits_.max_total;
  const Bytes most = std::min(limits_.max_file, most_together);
  const auto reset = [&] {
    plan.total_bytes -= std::exchange(file.bytes, 0);
    return target.reset();
  };
  const auto sink = [&](std::string_view piece) -> Status {
    file.bytes += piece.size();
    const std::uint64_t together = plan.total_bytes += piece.size();
    if (is_inline && together > most_together.count) return too_large_for_inline(most_together);
    if (file.bytes > most.count) {
      return absl::ResourceExhaustedError(
          concat("an input file is larger than ", most.count, " bytes"));
    }
    if (together > most_together.count) {
      return absl::ResourceExhaustedError(
          concat("the input files are together larger than ", most_together.count, " bytes"));
    }
    return target.write(piece);
  };
  if (is_data_url(file.url)) {
    const auto data = parse_data_url(file.url);
    if (!data) return absl::InvalidArgumentError("a data: URL in the input is malformed");
    MIMEO_RETURN_IF_ERROR(reset());
    MIMEO_RETURN_IF_ERROR(sink(data->content));
    return target.close();
  }
  if (may_be_ours(file.url)) {
    const Status own =
        hub_.fetch_input(plan.job.hubs, plan.job.attempt.prediction, file.url, reset, sink);
    if (own.ok()) return target.close();
    if (!absl::IsNotFound(own)) return own;
  }
  MIMEO_RETURN_IF_ERROR(reset());
  http::OutboundRequest request;
  request.url = file.url;
  request.timeout = limits_.download_limit;
  request.max_response = Bytes{most.count + (1_MiB).count};  // The sink says it better.
  request.max_redirects = kMaxRedirects;
  const http::Outbound outbound(limits_.addresses);
  const auto response = outbound.download(request, sink);
  if (!response.ok()) return response.status();
  if (response->status >= 500 || response->status == 429) {
    return absl::UnavailableError(absl::StrCat("the server answered ", response->status));
  }
  if (response->status / 100 != 2) {
    return absl::NotFoundError(absl::StrCat("the server answered ", response->status));
  }
  return target.close();
}

awaitable<Status> InputFiles::bring(std::shared_ptr<Plan> plan, std::size_t index) {
  Plan::File& file = plan->files[index];
  if (is_data_url(file.url)) {
    const std::string_view head =
        std::string_view(file.url).substr(5, file.url.find_first_of(";,") - 5);
    file.name = concat("file", ending_of_type(head));
  }
  file.path = plan->path_of(index, file.name);
  // The operation is called again only after its awaitable is done: it may refer to this frame.
  std::function<awaitable<Status>()> once = [this, plan, index] {
    return pool_.run([this, plan, index] { return fetch(*plan, index); });
  };
  Status status = co_await retry(limits_.retry, &random_, std::move(once));
  if (status.ok()) co_return status;
  const std::string what = is_data_url(file.url) ? "a data: URL" : shown(file.url);
  co_return with_context(status, "the input file " + what + " could not be fetched");
}

void InputFiles::discard(const std::filesystem::path& spool, AttemptKey attempt) {
  pool_.post([folder = spool / "in" / attempt.str()] {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  });
}

awaitable<Result<std::string>> InputFiles::prepare(InputJob job) {
  auto plan = std::make_shared<Plan>();
  plan->job = std::move(job);
  auto find = [this, plan]() -> Status {
    InputJob& wanted = plan->job;
    if (wanted.input.empty()) {
      const auto reset = [&] {
        wanted.input.clear();
        return absl::OkStatus();
      };
      const auto sink = [&](std::string_view piece) {
        wanted.input.append(piece);
        return absl::OkStatus();
      };
      MIMEO_RETURN_IF_ERROR(
          hub_.fetch_input(wanted.hubs, wanted.attempt.prediction, "", reset, sink));
    }
    if (!wanted.fields->may_have_input_files()) return absl::OkStatus();
    return plan->find();
  };
  MIMEO_CO_RETURN_IF_ERROR(co_await pool_.run(std::move(find)));
  if (plan->files.empty()) co_return std::move(plan->job.input);

  std::vector<awaitable<Status>> tasks;
  for (std::size_t i = 0; i < plan->files.size(); ++i) tasks.push_back(bring(plan, i));
  Status brought = co_await run_all("fetch input files", std::move(tasks));
  auto finish = [plan, brought]() -> Result<std::string> {
    if (!brought.ok()) {
      plan->remove();
      return brought;
    }
    MIMEO_RETURN_IF_ERROR(plan->rewrite());
    return plan->input.dump();
  };
  auto rewritten = co_await pool_.run(std::move(finish));
  co_return rewritten;
}

}  // namespace mimeo::worker
