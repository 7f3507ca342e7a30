// The functions of a card that binds volumes to them by name, as the Kalray K200LP does: its configuration
// says which name of an lvol belongs to which function, and nothing else can be asked or told.
#pragma once
#include <string>
#include <vector>

#include "core/json.hpp"
#include "dpusim/sysfs.hpp"

namespace vnvme::sim {

class Target;
struct Bdev;

struct SlotOption {
  std::string name, bdf;  // "volume_09", "04:00.2"
};
// The card's own configuration, as delivered: four virtual functions.
std::vector<SlotOption> default_slots();

// by_name: whatever is called so is on that function, a renamed lvol too. at_creation: only an lvol that was
// created with that name, until it is deleted.
enum class Binding { by_name, at_creation };

class Slots {
 public:
  static constexpr const char* kStore = "lvs";
  explicit Slots(Target& target);
  Result<void> start();
  // Something was created, renamed, loaded or removed.
  void look();
  void created(const Bdev& bdev);
  void resized(const Bdev& bdev);
  [[nodiscard]] Json dump() const;

 private:
  struct Slot {
    std::string name, bdf;
    std::string bound;  // uuid of the lvol on it; empty: none
    std::string owner;  // at_creation: uuid of the lvol that may be on it
  };
  [[nodiscard]] Bdev* wanted(const Slot& slot) const;
  void bind(Slot& slot, Bdev& bdev);
  void unbind(Slot& slot);
  void save() const;

  Target& target_;
  Sysfs sysfs_;
  std::vector<Slot> slots_;
  bool started_ = false;
};

}  // namespace vnvme::sim
