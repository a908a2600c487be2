# SPDX-License-Identifier: Apache-2.0
# A short list of entrances; the work is done by the programs in tools/, each with its own --help.

SHELL := /bin/bash
.DEFAULT_GOAL := help
SCENARIO ?= engine
# The lab's inventory names the image.
IMAGES := /var/cache/hotstack-os/guest-image
GUEST_IMAGE := /opt/hotstack-os/source/tools/guest-image --cache $(IMAGES) --output $(IMAGES)/guest.qcow2

help: ## Show these commands
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | column -t -s '|'

lab: ## Make a disposable lab host, deploy OpenStack in it, and boot guests as a proof
	tools/lab up
	tools/lab deploy
	tools/lab exec -- $(GUEST_IMAGE)
	tools/lab deploy --playbook hotstack.os.post_setup
	tools/lab deploy --playbook hotstack.os.smoke_test
	tools/lab exec -- openstack --os-cloud hotstack-os-admin token issue

test: ## Run everything that CI runs, within an hour
	tools/test

test-full: ## Run every test, slow ones too, and break a deployment in every way of docs/faults.md
	tools/test --full

test-machine: ## Deploy in an emulated machine and try it there
	tools/test machine-full

lint: ## Run the linters and type checkers
	tools/test lint

unit: ## Run the unit tests with their coverage
	tools/test unit

sanity: ## Run ansible-test sanity on the built collection
	tools/test sanity

molecule: ## Run one scenario: make molecule SCENARIO=engine
	tools/test molecule-$(SCENARIO)

e2e: ## Deploy in a fresh lab host of its own and try it there
	tools/test e2e

benchmark: ## Print how long the lab and the playbook take, and what they use
	tools/benchmark

docs: ## Write the documents that are generated
	tools/docs

lock-dev: ## Resolve requirements-dev.in again
	tools/lock-dev

clean: ## Remove the labs of the tests and all that the tools keep in the cache folder
	tools/test --clean

.PHONY: help lab test test-full test-machine lint unit sanity molecule e2e benchmark docs lock-dev clean
