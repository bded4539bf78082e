#include "worker/files/output_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/concat.h"
#include "common/base/file_names.h"
#include "common/crypto/crypto.h"
#include "worker/files/data_url.h"
#include "worker/files/run_all.h"
#include "worker/text.h"

namespace mimeo::worker {
namespace {

using boost::asio::awaitable;
using nlohmann::json;

constexpr std::string_view kReference = "mimeo-file:";
constexpr std::string_view kDataScheme = "data:";
constexpr std::size_t kPiece = 256 * 1024;

// Closes a descriptor with the last reader of it.
class OpenFile {
 public:
  explicit OpenFile(int fd) : fd_(fd) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { ::close(fd_); }

  Result<std::string> next() {
    std::string piece(kPiece, '\0');
    ssize_t n = 0;
    do {
      n = ::read(fd_, piece.data(), piece.size());
    } while (n < 0 && errno == EINTR);
    if (n < 0) return absl::InternalError("an output file could not be read");
    piece.resize(static_cast<std::size_t>(n));
    return piece;
  }

 private:
  const int fd_;
};

}  // namespace

Result<int> open_beneath(const std::filesystem::path& root, std::string_view relative) {
  const auto refuse = [] { return absl::NotFoundError("no such output file"); };
  int folder = ::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return refuse();
  for (bool is_last = false; !is_last;) {
    const std::size_t slash = relative.find('/');
    is_last = slash == std::string_view::npos;
    const std::string part(relative.substr(0, slash));
    if (!is_last) relative.remove_prefix(slash + 1);
    const bool is_name =
        !part.empty() && part != "." && part != ".." && part.find('\0') == std::string::npos;
    const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (is_last ? O_NONBLOCK : O_DIRECTORY);
    const int next = is_name ? ::openat(folder, part.c_str(), flags) : -1;
    ::close(folder);
    if (next < 0) return refuse();
    folder = next;
  }
  struct stat about {};
  if (::fstat(folder, &about) != 0 || !S_ISREG(about.st_mode)) {
    ::close(folder);
    return refuse();
  }
  return folder;
}

struct OutputFiles::Plan {
  struct File {
    std::vector<std::string*> places;  // In `output`; all become the URL.
    std::string key;                   // See stored_.
    OutputFile file;
    std::string url;
  };
  OutputJob job;
  OutputLimits limits;
  std::map<std::string, std::string> known;  // URLs from before.
  json output;
  std::vector<File> files;
  bool is_changed = false;

  Status find() {
    output = json::parse(job.output, nullptr, false);
    if (output.is_discarded()) return absl::InvalidArgumentError("the output is not JSON");
    const auto visitor = [this](std::string& value, FileFields::Declared declared) {
      if (value.starts_with(kReference)) {
        add_reference(value);
      } else if (value.starts_with(kDataScheme) && (declared == FileFields::Declared::kYes ||
                                                    value.size() > limits.inline_data_url)) {
        add_data_url(value);
      }
      return absl::OkStatus();
    };
    if (job.part == OutputPart::kItem) return job.fields->visit_output_item(output, visitor);
    return job.fields->visit_output(output, visitor);
  }

  // True when the URL is known or on its way already.
  bool use_known(std::string& place, const std::string& key) {
    if (const auto it = known.find(key); it != known.end()) {
      place = it->second;
      is_changed = true;
      return true;
    }
    for (auto& file : files) {
      if (file.key != key) continue;
      file.places.push_back(&place);
      return true;
    }
    return false;
  }

  void add_reference(std::string& place) {
    if (use_known(place, place)) return;
    const std::string relative = place.substr(kReference.size());
    const auto root = job.spool / "out";
    const auto opened = open_beneath(root, relative);
    if (!opened.ok()) return;  // The model's own text.
    ::close(*opened);
    File file;
    file.places.push_back(&place);
    file.key = place;
    file.file.filename = harmless_file_name(relative, "output");
    file.file.content_type = type_of_file_name(file.file.filename);
    file.file.open = [root, relative]() -> Result<ContentSource> {
      MIMEO_ASSIGN_OR_RETURN(const int fd, open_beneath(root, relative));
      auto reader = std::make_shared<OpenFile>(fd);
      return ContentSource([reader] { return reader->next(); });
    };
    files.push_back(std::move(file));
  }

  void add_data_url(std::string& place) {
    const std::string key = crypto::sha256(place);
    if (use_known(place, key)) return;
    auto data = parse_data_url(place);
    if (!data) return;
    File file;
    file.places.push_back(&place);
    file.key = key;
    file.file.filename = concat("output", ending_of_type(data->content_type));
    file.file.content_type = data->content_type;
    auto content = std::make_shared<const std::string>(std::move(data->content));
    file.file.open = [content]() -> Result<ContentSource> {
      return ContentSource([content, at = std::size_t{0}]() mutable -> Result<std::string> {
        std::string piece = content->substr(at, kPiece);
        at += piece.size();
        return piece;
      });
    };
    files.push_back(std::move(file));
  }
};

bool OutputFiles::may_have_files(std::string_view output) {
  return contains(output, kReference) || contains(output, "\"data:");
}

awaitable<Status> OutputFiles::upload(std::shared_ptr<Plan> plan, std::size_t index) {
  std::function<awaitable<Status>()> once = [this, plan, index] {
    return pool_.run([this, plan, index]() -> Status {
      Plan::File& file = plan->files[index];
      MIMEO_ASSIGN_OR_RETURN(file.url, hub_.store_output(plan->job.hubs, file.file));
      return absl::OkStatus();
    });
  };
  Status status = co_await retry(limits_.retry, &random_, std::move(once));
  co_return status;
}

awaitable<Result<std::string>> OutputFiles::store(OutputJob job) {
  auto plan = std::make_shared<Plan>();
  plan->job = std::move(job);
  plan->limits = limits_;
  const AttemptKey attempt = plan->job.attempt;
  if (const auto it = stored_.find(attempt); it != stored_.end()) plan->known = it->second;
  auto find = [plan] { return plan->find(); };
  MIMEO_CO_RETURN_IF_ERROR(co_await pool_.run(std::move(find)));

  std::vector<awaitable<Status>> tasks;
  for (std::size_t i = 0; i < plan->files.size(); ++i) {
    plan->files[i].file.attempt = attempt;
    tasks.push_back(upload(plan, i));
  }
  const Status uploaded = co_await run_all("store output files", std::move(tasks));
  if (!uploaded.ok()) {
    co_return with_context(uploaded, "an output file could not be stored");
  }
  for (auto& file : plan->files) {
    for (std::string* place : file.places) *place = file.url;
    stored_[attempt][file.key] = file.url;
  }
  if (plan->files.empty() && !plan->is_changed) co_return std::move(plan->job.output);
  auto dump = [plan] { return plan->output.dump(-1, ' ', false, json::error_handler_t::replace); };
  std::string text = co_await pool_.run(std::move(dump));
  co_return text;
}

}  // namespace mimeo::worker
