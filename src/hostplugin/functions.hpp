// The functions of the host plugin: questions to vnvmed's admin socket. All of
// them only read, so whoever XAPI lets call a plugin may ask; what changes
// something is done with XAPI's own calls (SR.create, VDI.create) or the
// `vnvme` command.
#pragma once
#include <chrono>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "hostplugin/answer.hpp"
#include "hostplugin/request.hpp"

namespace vnvme::hostplugin {

// A verb of include/vnvme/admin.hpp.
using Ask = std::function<Result<nlohmann::json>(const std::string& verb, const nlohmann::json& args,
                                                 std::chrono::seconds limit)>;

std::vector<std::string> function_names();
Answer perform(const Call& call, const Ask& ask);

}  // namespace vnvme::hostplugin
