// Small files of sysfs, read with bounds, and names checked before they become part of a path.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vnvme/result.hpp"

namespace vnvme::host {

// DDDD:BB:DD.F in lower-case hexadecimal, function 0 to 7, device 0 to 1f: safe as part of a path.
bool is_bdf(std::string_view text);
Error bad_bdf(std::string_view text);

// Without white space at its end. Nothing when the file does not exist. More than 4 KiB is an error.
Result<std::optional<std::string>> read_text(const std::string& path);
// Names in a folder, sorted, without "." and ".."; nothing when it does not exist. More than 4096 is an
// error.
Result<std::optional<std::vector<std::string>>> list_folder(const std::string& path);
// Last part of the symbolic link's target; nothing when there is no such link.
Result<std::optional<std::string>> link_name(const std::string& path);
Result<bool> exists(const std::string& path);

Error errno_error(std::string_view step, const std::string& path, int number);

}  // namespace vnvme::host
