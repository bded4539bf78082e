// What a hardware class offers and an instance may use. Pure values.

#pragma once

#include <cstdint>
#include <string>

#include "common/base/units.h"

namespace mimeo {

// Zero means "no limit" for that kind.
struct Resources {
  std::uint32_t cpu_milli = 0;  // 1000 = one core.
  Bytes memory;                 // Memory and swap together.
  std::uint32_t gpus = 0;       // Whole devices.
  Bytes gpu_memory;             // Needed on each device.
  Bytes scratch;                // Size of the tmpfs at /tmp.
  friend bool operator==(const Resources&, const Resources&) = default;
};

// Of a second, in millionths of the operator's currency.
inline constexpr std::int64_t kHighestPrice = 1'000'000'000;

// A class of machine share that can be asked for ("sku").
struct Hardware {
  std::string sku;   // "cpu", "gpu-t4": the operator's word.
  std::string name;  // "CPU", "Nvidia T4 GPU": shown to people.
  Resources resources;
  std::int64_t price_micros_per_second = 0;  // 0 to kHighestPrice.
};

}  // namespace mimeo
