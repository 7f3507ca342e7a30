// The functions that the card shows to the host: after NVIDIA SNAP-4.
#pragma once
#include "dpusim/rpc.hpp"

namespace vnvme::sim {

class Target;
struct Bdev;

class Snap {
 public:
  explicit Snap(Target& target) : target_(target) {}
  void add_methods();
  Result<void> start();
  void forget(const Bdev& bdev);
  [[nodiscard]] Json dump() const;

 private:
  Target& target_;
};

}  // namespace vnvme::sim
