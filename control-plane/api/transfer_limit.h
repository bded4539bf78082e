// How many files may be on their way at once: each holds up to about a MiB of memory for as long as
// its client likes to take.

#pragma once

#include <cstddef>
#include <optional>
#include <utility>

namespace mimeo::control {

// On the HTTP thread.
class TransferLimit {
 public:
  explicit TransferLimit(std::size_t most) : left_(most) {}

  // One transfer; gives its place back when destroyed. The limit outlives it.
  class Place {
   public:
    explicit Place(TransferLimit& limit) : limit_(&limit) {}
    Place(Place&& other) noexcept : limit_(std::exchange(other.limit_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (limit_ != nullptr) ++limit_->left_;
    }

   private:
    TransferLimit* limit_;
  };

  // nullopt when all places are taken.
  [[nodiscard]] std::optional<Place> take() {
    if (left_ == 0) return std::nullopt;
    --left_;
    return std::optional<Place>(std::in_place, *this);
  }

 private:
  std::size_t left_;
};

}  // namespace mimeo::control
