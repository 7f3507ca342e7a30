// Writes to sysfs in a process of their own: unbinding a driver from a dead device can hang for ever, and
// then it is this process that hangs. It is abandoned, and the device counts as busy until it is gone.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "vnvme/result.hpp"
#include "vnvme/time.hpp"

namespace vnvme::host {

struct SysfsWrite {
  std::string path;
  std::string value;
  int accepted_errno = 0;  // this failure is as good as success (e.g. EEXIST of pciback's new_slot)
};

class SysfsHelper {
 public:
  SysfsHelper() = default;
  SysfsHelper(const SysfsHelper&) = delete;
  SysfsHelper& operator=(const SysfsHelper&) = delete;
  ~SysfsHelper();

  // In order; stops at the first that fails. `what` is the key under which an abandoned helper is remembered
  // (the PCI address): while it lives the next call for it is `busy`. timeout, outcome unknown: the helper
  // hangs. At most 16 abandoned helpers; then everything is `busy`.
  Task<Result<void>> write(std::string what, std::vector<SysfsWrite> writes, Deadline deadline);
  // Abandoned helpers that still live.
  [[nodiscard]] std::size_t abandoned();

 private:
  std::map<std::string, pid_t> abandoned_;
};

}  // namespace vnvme::host
