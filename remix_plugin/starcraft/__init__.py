"""Whether StarCraft II is there, and what to do where it is not.

Looks at files alone: nothing here imports smacv2, smac or pysc2, or starts the game.
"""
