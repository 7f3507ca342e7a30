// The daemon's answers as people read them: one function a verb, JSON in,
// text out. Members that an older or newer daemon lacks are shown as absent.
#pragma once
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/terminal.hpp"

namespace vnvme::cli {

std::string show_dpus(const nlohmann::json& answer, const Terminal&);
std::string show_drives(const nlohmann::json& answer, const Terminal&);
std::string show_pools(const nlohmann::json& answer, const Terminal&);
std::string show_volumes(const nlohmann::json& answer, const Terminal&);
std::string show_functions(const nlohmann::json& answer, const Terminal&);
std::string show_attachments(const nlohmann::json& answer, const Terminal&);
std::string show_events(const nlohmann::json& answer, const Terminal&);
std::string show_doctor(const nlohmann::json& answer, const Terminal&);
std::string show_reserved(const nlohmann::json& answer, const Terminal&);
std::string show_unreserved(const nlohmann::json& answer, const Terminal&);
std::string show_adopted(const nlohmann::json& answer, const Terminal&);

// What `vnvme status` puts together. A part that could not be had is in `missing` with the reason, and the
// picture is drawn without it.
struct StatusParts {
  const nlohmann::json& status;
  const nlohmann::json& drives;
  const nlohmann::json& pools;
  const nlohmann::json& volumes;
  const nlohmann::json& functions;
  const nlohmann::json& attachments;
  std::map<std::string, std::string> missing;
};
std::string show_status(const StatusParts& parts, const Terminal&);

// Does doctor's answer have a problem (exit code 4)?
bool has_problem(const nlohmann::json& doctor_answer);

}  // namespace vnvme::cli
