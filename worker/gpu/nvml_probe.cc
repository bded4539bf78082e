#include "worker/gpu/nvml_probe.h"

#include <absl/strings/str_cat.h>
#include <dlfcn.h>

#include <array>
#include <memory>
#include <utility>

namespace mimeo::worker {
namespace {

// The few declarations of nvml.h that we use: its ABI is stable, and the header is not needed to
// build.
using NvmlReturn = int;
using NvmlDevice = struct NvmlDeviceStruct*;
struct NvmlMemory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};
constexpr NvmlReturn kNvmlSuccess = 0;
constexpr NvmlReturn kNvmlDriverNotLoaded = 9;
constexpr std::size_t kTextLength = 96;

class Library {
 public:
  explicit Library(const std::string& path) : handle_(::dlopen(path.c_str(), RTLD_NOW)) {}
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    if (handle_ != nullptr) ::dlclose(handle_);
  }
  [[nodiscard]] bool is_open() const { return handle_ != nullptr; }
  template <class Function>
  [[nodiscard]] Function* function(const char* name) const {
    return reinterpret_cast<Function*>(::dlsym(handle_, name));
  }

 private:
  void* const handle_;
};

struct Nvml {
  explicit Nvml(const Library& library)
      : init(library.function<NvmlReturn()>("nvmlInit_v2")),
        shutdown(library.function<NvmlReturn()>("nvmlShutdown")),
        error_text(library.function<const char*(NvmlReturn)>("nvmlErrorString")),
        count(library.function<NvmlReturn(unsigned*)>("nvmlDeviceGetCount_v2")),
        by_index(
            library.function<NvmlReturn(unsigned, NvmlDevice*)>("nvmlDeviceGetHandleByIndex_v2")),
        uuid(library.function<NvmlReturn(NvmlDevice, char*, unsigned)>("nvmlDeviceGetUUID")),
        name(library.function<NvmlReturn(NvmlDevice, char*, unsigned)>("nvmlDeviceGetName")),
        memory(library.function<NvmlReturn(NvmlDevice, NvmlMemory*)>("nvmlDeviceGetMemoryInfo")) {}

  [[nodiscard]] bool is_complete() const {
    return init != nullptr && shutdown != nullptr && error_text != nullptr && count != nullptr &&
           by_index != nullptr && uuid != nullptr && name != nullptr && memory != nullptr;
  }
  [[nodiscard]] Status error(const char* what, NvmlReturn code) const {
    return absl::UnavailableError(absl::StrCat("NVML: ", what, ": ", error_text(code)));
  }

  NvmlReturn (*init)();
  NvmlReturn (*shutdown)();
  const char* (*error_text)(NvmlReturn);
  NvmlReturn (*count)(unsigned*);
  NvmlReturn (*by_index)(unsigned, NvmlDevice*);
  NvmlReturn (*uuid)(NvmlDevice, char*, unsigned);
  NvmlReturn (*name)(NvmlDevice, char*, unsigned);
  NvmlReturn (*memory)(NvmlDevice, NvmlMemory*);
};

Result<GpuDevice> describe(const Nvml& nvml, unsigned index) {
  NvmlDevice device = nullptr;
  if (const auto code = nvml.by_index(index, &device); code != kNvmlSuccess) {
    return nvml.error("opening a device", code);
  }
  std::array<char, kTextLength> text{};
  GpuDevice out;
  out.index = index;
  if (const auto code = nvml.uuid(device, text.data(), text.size()); code != kNvmlSuccess) {
    return nvml.error("reading a device's UUID", code);
  }
  out.uuid = text.data();
  if (const auto code = nvml.name(device, text.data(), text.size()); code != kNvmlSuccess) {
    return nvml.error("reading a device's name", code);
  }
  out.name = text.data();
  NvmlMemory memory{};
  if (const auto code = nvml.memory(device, &memory); code != kNvmlSuccess) {
    return nvml.error("reading a device's memory", code);
  }
  out.memory = Bytes{memory.total};
  return out;
}

class NvmlProbe final : public GpuProbe {
 public:
  explicit NvmlProbe(std::string path) : path_(std::move(path)) {}

  Result<std::vector<GpuDevice>> devices() override {
    const Library library(path_);
    if (!library.is_open()) return std::vector<GpuDevice>{};
    const Nvml nvml(library);
    if (!nvml.is_complete()) return absl::InternalError("NVML: the library lacks functions");
    const auto code = nvml.init();
    // The library may be there without a driver: in images and after an update.
    if (code == kNvmlDriverNotLoaded) return std::vector<GpuDevice>{};
    if (code != kNvmlSuccess) return nvml.error("starting", code);
    auto found = enumerate(nvml);
    nvml.shutdown();
    return found;
  }

 private:
  static Result<std::vector<GpuDevice>> enumerate(const Nvml& nvml) {
    unsigned count = 0;
    if (const auto code = nvml.count(&count); code != kNvmlSuccess) {
      return nvml.error("counting devices", code);
    }
    std::vector<GpuDevice> out;
    for (unsigned i = 0; i < count; ++i) {
      MIMEO_ASSIGN_OR_RETURN(auto device, describe(nvml, i));
      out.push_back(std::move(device));
    }
    return out;
  }

  const std::string path_;
};

}  // namespace

std::unique_ptr<GpuProbe> make_nvml_probe(const std::string& library) {
  return std::make_unique<NvmlProbe>(library);
}

}  // namespace mimeo::worker
