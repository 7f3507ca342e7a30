// The block device of a namespace, found by what the namespace says of itself.
#pragma once
#include <optional>
#include <string>

#include "vnvme/result.hpp"

namespace vnvme::host {

// "nvme0n1" of "nvme0n1", and of "nvme0c1n1" (with native multipath the controller's folder names the path,
// and the device belongs to the subsystem). Nothing for any other name.
std::optional<std::string> device_of_namespace(const std::string& name);

// Does the namespace whose sysfs folder that is have this UUID (its own, or as NGUID)?
Result<bool> namespace_has_uuid(const std::string& folder, const std::string& uuid);

// The name of the device below /dev, or nothing while there is none. `function` is the sysfs folder of the
// PCI function.
Result<std::optional<std::string>> find_namespace(const std::string& function, const std::string& uuid);

}  // namespace vnvme::host
