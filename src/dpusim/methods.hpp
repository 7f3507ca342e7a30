// The groups of methods; each adds its own to the target's table.
#pragma once

namespace vnvme::sim {

class Target;

void add_framework_methods(Target& target);
void add_bdev_methods(Target& target);
void add_lvstore_methods(Target& target);
void add_lvol_methods(Target& target);
void add_control_methods(Target& target);

}  // namespace vnvme::sim
